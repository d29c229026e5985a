"""Models for a user's own categories: labelled datasets, a small head trained on a frozen network, and evaluation.

What imports torch is imported by its own module name (`watson.training.train`); reading and evaluating need none.
"""

from watson.training.evaluation import Evaluation, evaluate
from watson.training.labelled import LabelledDataset
from watson.training.readers import read_dataset

__all__ = ["Evaluation", "LabelledDataset", "evaluate", "read_dataset"]
