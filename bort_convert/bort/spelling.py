"""How a checkpoint spells its parameters' names, and the structural name of each.

One writer writes a file, so one spelling holds for all its names: structural or flat, of one GluonNLP generation, all behind
``arg:`` or ``aux:`` or none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bort_convert.bort import flat_names
from bort_convert.bort.heads import CLASSIFIER, expand
from bort_convert.errors import MixedNamesError

_WORD_EMBEDDING, _TIED = "word_embed.0.weight", "decoder.3.weight"
_MODULE_PREFIXES = ("arg:", "aux:")
_FLAT: Mapping[str, Mapping[str, str]] = {
    "0.8": {**flat_names.ENCODER_0_8, **flat_names.MLM_DECODER_0_8},
    "0.9 and later": {**flat_names.ENCODER_0_9, **flat_names.MLM_DECODER_0_9},
}
_FLAT_ENDINGS = tuple(name.rpartition("}")[2] for table in (*_FLAT.values(), flat_names.CLASSIFIER) for name in table)


@dataclass(frozen=True, slots=True)
class Spelling:
    """The spelling of one file.

    ``writer`` says in words what wrote such names. ``structural`` gives the structural name of each name in the file; a name
    that is unknown stands for itself. ``stored_once`` is true where a tied weight is one entry of the file, not two.
    """

    writer: str
    structural: Mapping[str, str]
    stored_once: bool


def read_spelling(names: Sequence[str]) -> Spelling:
    """The spelling of a file with these names. Raises MixedNamesError for names of two writers."""
    prefixed = [name for name in names if name.startswith(_MODULE_PREFIXES)]
    if prefixed and len(prefixed) != len(names):
        other = next(name for name in names if not name.startswith(_MODULE_PREFIXES))
        raise MixedNamesError(_mixed(prefixed[0], other))
    bare = {name: name.partition(":")[2] if prefixed else name for name in names}
    by_bare = {plain: name for name, plain in bare.items()}
    if twice := next((name for name, plain in bare.items() if by_bare[plain] != name), None):
        raise MixedNamesError(_mixed(twice, by_bare[bare[twice]]))
    dotted = [name for name, plain in bare.items() if "." in plain]
    # A name that is neither is of no writer: the ledger calls it unexpected.
    flat = [name for name, plain in bare.items() if "." not in plain and plain.endswith(_FLAT_ENDINGS)]
    if dotted and flat:
        raise MixedNamesError(_mixed(dotted[0], flat[0]))
    spelling = _structural(bare) if dotted else _flat(bare)
    if not prefixed:
        return spelling
    return Spelling(f"{spelling.writer}, behind arg: (export or Module)", spelling.structural, spelling.stored_once)


def _structural(bare: Mapping[str, str]) -> Spelling:
    plain = set(bare.values())
    if _TIED in plain and _WORD_EMBEDDING not in plain:
        renamed = {name: _WORD_EMBEDDING if short == _TIED else short for name, short in bare.items()}
        return Spelling("structural names, deduplicated", renamed, stored_once=True)
    return Spelling("structural names (save_parameters)", dict(bare), stored_once=False)


def _flat(bare: Mapping[str, str]) -> Spelling:
    plain = list(bare.values())
    encoder = _owner(plain, "position_weight")
    model = _owner(plain, "word_embed_embedding0_weight")
    if encoder is None or model is None:
        return Spelling("names of no known writer", dict(bare), stored_once=False)
    classifier = next(
        (prefix for name in plain if (prefix := name.removesuffix("dense1_weight")) not in (name, model)), None
    )
    found = {
        generation: _flat_to_structural(table, encoder, model, classifier, plain) for generation, table in _FLAT.items()
    }
    both = [generation for generation, known in found.items() if known.keys() & (set(plain) - _shared(found))]
    if len(both) > 1:
        first, second = (next(name for name in plain if name in found[g] and name not in _shared(found)) for g in both)
        raise MixedNamesError(_mixed(first, second))
    generation = both[0] if both else next(iter(found))
    known = found[generation]
    structural = {name: known.get(short, short) for name, short in bare.items()}
    return Spelling(f"flat names of GluonNLP {generation}", structural, stored_once=True)


def _shared(found: Mapping[str, Mapping[str, str]]) -> set[str]:
    """The names that every generation spells alike."""
    return set.intersection(*(set(known) for known in found.values()))


def _flat_to_structural(
    table: Mapping[str, str], encoder: str, model: str, classifier: str | None, names: Sequence[str]
) -> dict[str, str]:
    """Every name that a file with these prefixes can have, of one generation, and its structural name."""
    cell = f"{encoder}transformer"
    num_layers = len({name.removeprefix(cell).split("_")[0] for name in names if name.startswith(cell)})
    owner = "" if classifier is None else CLASSIFIER.source_prefix
    known = {name: owner + structural for name, structural in expand(table, num_layers).items()}
    if classifier is not None:
        known |= flat_names.CLASSIFIER
    return {
        name.format(encoder=encoder, model=model, classifier=classifier): structural
        for name, structural in known.items()
    }


def _owner(names: Sequence[str], suffix: str) -> str | None:
    """The prefix of the one parameter whose name ends so."""
    return next((name.removesuffix(suffix) for name in names if name.endswith(suffix)), None)


def _mixed(first: str, second: str) -> str:
    return (
        f"names of two writers in one file ({first} and {second}), so it is no whole checkpoint; save the model again"
    )
