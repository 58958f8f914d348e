"""Tuning: proposes plans and reads what came of them. Imports no Keras."""
