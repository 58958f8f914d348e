"""Techniques: one named, pure edit of a plan per file, and the registry that lists them."""

from slipstream.techniques._base import Choice, Range, Technique
from slipstream.techniques._case_recipes import case_of, case_recipes
from slipstream.techniques._exchange import Ablated, put_in, take_out
from slipstream.techniques._recipe import Recipe
from slipstream.techniques._recipes import get_recipe, recipes
from slipstream.techniques._registry import all_techniques, apply_all, found_in, get

__all__ = [
    "Ablated",
    "Choice",
    "Range",
    "Recipe",
    "Technique",
    "all_techniques",
    "apply_all",
    "case_of",
    "case_recipes",
    "found_in",
    "get",
    "get_recipe",
    "put_in",
    "recipes",
    "take_out",
]
