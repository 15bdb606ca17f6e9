"""`check_model`: the mathematics of a model, tested from outside by its abilities alone."""

from ancestral.checks.check import PROPERTIES, check_model
from ancestral.checks.report import CheckFailure, CheckReport

__all__ = ["PROPERTIES", "CheckFailure", "CheckReport", "check_model"]
