"""The MCP server: jobs as tools that another program calls, within the bounds it was given."""
