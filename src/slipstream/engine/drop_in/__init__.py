"""`Model.fit`, on Slipstream's programs: the same arguments, the same History, sooner."""

from slipstream.engine.drop_in.fallback import fit_with_own, has_own_fit
from slipstream.engine.drop_in.first_batch import first_batch_shown_to
from slipstream.engine.drop_in.fit import fit
from slipstream.engine.drop_in.report import FitReport, with_findings

__all__ = [
    "FitReport",
    "first_batch_shown_to",
    "fit",
    "fit_with_own",
    "has_own_fit",
    "with_findings",
]
