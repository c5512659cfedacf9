"""One fact of the set-up."""

from dataclasses import dataclass

CONVERSION, PROOF, REPORT, TOKENIZER, PUBLISHING = "conversion", "proof", "HTML report", "tokenizer", "publishing"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and found. ``remedy`` is the command that mends it, and is empty where nothing is wrong.

    ``needed_for`` is what does not work without it.
    """

    subject: str
    needed_for: str
    found: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is to be mended."""
        return not self.remedy
