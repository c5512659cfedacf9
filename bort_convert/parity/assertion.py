"""The proof as an assertion, for a test suite."""

import os
from collections.abc import Sequence

from bort_convert.conversion.ledger import NOTHING_DECLARED, Declaration
from bort_convert.conversion.tokenizer_source import NOTHING_NAMED, TokenizerSources
from bort_convert.parity.inputs import DEFAULT_INPUTS, Inputs
from bort_convert.parity.result import Verification
from bort_convert.parity.table import plain_text
from bort_convert.parity.verify import DTYPES, verify


def assert_parity(
    checkpoint: str | os.PathLike[str],
    model_dir: str | os.PathLike[str],
    declared: Declaration = NOTHING_DECLARED,
    *,
    reference: str | os.PathLike[str] | None = None,
    dtypes: Sequence[str] = DTYPES,
    inputs: Inputs = DEFAULT_INPUTS,
    atol: float | None = None,
    mxnet_python: str | None = None,
    tokenizer: TokenizerSources = NOTHING_NAMED,
    published_values: bool = False,
) -> Verification:
    """Asserts that ``model_dir`` holds the model of ``checkpoint``; the options are those of `verify`.

    With ``reference``, a file that ``convert-bort record`` wrote, MXNet is not needed. Raises AssertionError, whose message
    shows what failed and the table of all stages, and a BortConvertError where nothing could be compared.
    """
    verification = verify(
        checkpoint,
        model_dir,
        declared,
        dtypes=dtypes,
        inputs=inputs,
        reference=reference,
        atol=atol,
        mxnet_python=mxnet_python,
        tokenizer=tokenizer,
        published_values=published_values,
    )
    if not verification.passed:
        # Not an assert statement: it must hold under python -O, and pytest must not rewrite the message.
        raise AssertionError(plain_text(verification))
    return verification
