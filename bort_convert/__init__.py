"""Amazon Alexa's Bort, from MXNet checkpoints to Hugging Face model folders, with a proof that nothing changed.

The public functions and values are imported when they are first used, so that ``import bort_convert`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "BortConvertError": "bort_convert.errors",
    "Conversion": "bort_convert.conversion.convert",
    "Declaration": "bort_convert.conversion.ledger",
    "Export": "bort_convert.conversion.export",
    "Inputs": "bort_convert.parity.inputs",
    "Ledger": "bort_convert.conversion.ledger",
    "ParamsFile": "bort_convert.params",
    "TokenizerSources": "bort_convert.conversion.tokenizer_source",
    "Verification": "bort_convert.parity.result",
    "assert_parity": "bort_convert.parity.assertion",
    "build_ledger": "bort_convert.conversion.ledger",
    "convert": "bort_convert.conversion.convert",
    "export": "bort_convert.conversion.export",
    "open_params": "bort_convert.params",
    "record": "bort_convert.parity.verify",
    "verify": "bort_convert.parity.verify",
    "write_sample": "bort_convert.parity.sample",
}

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from bort_convert.conversion.convert import Conversion as Conversion
    from bort_convert.conversion.convert import convert as convert
    from bort_convert.conversion.export import Export as Export
    from bort_convert.conversion.export import export as export
    from bort_convert.conversion.ledger import Declaration as Declaration
    from bort_convert.conversion.ledger import Ledger as Ledger
    from bort_convert.conversion.ledger import build_ledger as build_ledger
    from bort_convert.conversion.tokenizer_source import TokenizerSources as TokenizerSources
    from bort_convert.errors import BortConvertError as BortConvertError
    from bort_convert.params import ParamsFile as ParamsFile
    from bort_convert.params import open_params as open_params
    from bort_convert.parity.assertion import assert_parity as assert_parity
    from bort_convert.parity.inputs import Inputs as Inputs
    from bort_convert.parity.result import Verification as Verification
    from bort_convert.parity.sample import write_sample as write_sample
    from bort_convert.parity.verify import record as record
    from bort_convert.parity.verify import verify as verify


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
