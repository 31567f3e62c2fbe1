"""What a user asks for, one function each: a notebook, a script and the command line call these."""
