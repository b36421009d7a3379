"""
Loads the metric by its name on a Hub. Runs where `evaluate` and numpy are.

Its arguments: the Space, and the arguments of `compute` as JSON.
"""

import json
import sys

import evaluate

found = evaluate.load(sys.argv[1]).compute(**json.loads(sys.argv[2]))
