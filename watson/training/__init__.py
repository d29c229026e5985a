"""Models for a user's own categories: labelled datasets, a small head trained on a frozen network, and evaluation.

Reading (`readers.read_dataset`) and evaluating (`evaluation.evaluate`) import no torch; training does.
"""
