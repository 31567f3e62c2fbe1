"""A model and a pair to scores: loading, scores, intervals, frame budget, ranking."""
