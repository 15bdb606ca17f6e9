"""Wrong changes of the library's mathematics, and how many of them the contract and the tests notice.

Each `*.diff` beside this file is a list of mutants: one small mistake each, as a reader might make it. A mutant is
killed by the contract if `check_model` fails on an example of a model that runs the changed code, and by the tests if
those that mirror the changed file, or those of such a model, fail. What no model runs, as scores and data, has no
contract, and neither has what a pretext task asks, which is as its paper says: a list names the tests beside such a
file. `python -m tests.mutants` prints the rates.
"""
