from .dataset import read_table
from .table import FeatureTable, concatenate

__all__ = ["FeatureTable", "concatenate", "read_table"]
