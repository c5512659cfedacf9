"""The model card: what the folder is, where it came from, what was proved of it, and what was not."""

import json
from collections.abc import Iterator, Mapping
from math import inf, prod
from pathlib import Path
from string import Template
from typing import Any

from bort_convert.bort.tasks import TASKS
from bort_convert.conversion.tokenizer import TOKENIZER_NAME
from bort_convert.errors import CardError
from bort_convert.parity.published import RELEASED_ARCHITECTURE
from bort_convert.publishing.checks import REPORT_NAME, ModelFolder
from bort_convert.publishing.notices import changes, is_rounded

PIPELINE_TAGS = {"encoder": "feature-extraction", "mlm": "fill-mask", "classifier": "text-classification"}
"""The Hub's name for what each head does."""

RELEASED_MODEL = "amazon/bort"
"""The pre-trained Bort on the Hub, which fine-tuned ones are based on."""

_TEMPLATE = Path(__file__).with_name("card.md.template")
_AUTO_CLASSES = {
    "encoder": "AutoModel",
    "mlm": "AutoModelForMaskedLM",
    "classifier": "AutoModelForSequenceClassification",
}


def model_card(
    folder: ModelFolder,
    repo_id: str,
    report: Mapping[str, Any] | None,
    *,
    base_model: str | None = None,
    revision: str | None = None,
) -> str:
    """The text of the card, metadata first, for publishing ``folder`` as ``repo_id``.

    ``report`` is the JSON report of the passed verification; without one the card says that there was none. ``base_model`` is
    what a classifier was fine-tuned from; unless given, `RELEASED_MODEL` where the architecture is that one's, else left out.
    Raises CardError.
    """
    from huggingface_hub import ModelCard, ModelCardData

    metadata = _metadata(folder, base_model)
    header = ModelCardData(**metadata).to_yaml(line_break="\n")
    text = f"---\n{header}\n---\n{_body(folder, repo_id, report, revision)}"
    found = ModelCard(text).data.to_dict()  # type: ignore[no-untyped-call]
    if found != metadata:
        raise CardError(f"the card's metadata read back as {found}, meant was {metadata}; report this as a fault")
    return text


def _metadata(folder: ModelFolder, base_model: str | None) -> dict[str, Any]:
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    if base_model is not None and folder.head != "classifier":
        raise CardError(f"--base-model is for fine-tuned models, this one's head is {folder.head}; leave it out")
    metadata: dict[str, Any] = {
        "language": "en",
        "library_name": "transformers",
        "license": "apache-2.0",
        "pipeline_tag": PIPELINE_TAGS[folder.head],
        "tags": ["bort", "bert", "gluonnlp", "arxiv:2010.10499"],
    }
    if (
        base_model is None
        and folder.head == "classifier"
        and folder.record["architecture"]["name"] == RELEASED_ARCHITECTURE
    ):
        base_model = RELEASED_MODEL
    if base_model is not None:
        metadata["base_model"] = base_model
        try:
            validate_repo_id(base_model)
        except HFValidationError as error:
            raise CardError(f"--base-model {base_model}: not a model's name on the Hub, like user/name") from error
    return metadata


def _body(folder: ModelFolder, repo_id: str, report: Mapping[str, Any] | None, revision: str | None) -> str:
    record = folder.record
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=repo_id.rpartition("/")[2],
        verdict=_verdict(folder, report),
        what=_what(folder),
        outputs=_outputs(folder),
        checkpoint_sha256=f"`{report['checkpoint_sha256']}`"
        if report
        else "not taken, for that is verification's to do",
        checkpoint_digest=folder.checkpoint_digest,
        checkpoint_size=f"{record['source']['size']:,}",
        container=record["source"]["container"],
        writer=record["source"]["writer"],
        model_file=folder.model_file,
        model_sha256=folder.sha256[folder.model_file],
        tensor_digest=folder.tensor_digest,
        recorded=_recorded(folder),
        tool_version=record["tool"]["version"],
        changes=_bullets(changes(folder)),
        parity=_parity(report) if report else _NO_PARITY,
        inexact=_bullets(_inexact(folder, report)),
        load=_load(folder, repo_id, revision),
        limits=_bullets(_limits(folder, report)),
    )


def _verdict(folder: ModelFolder, report: Mapping[str, Any] | None) -> str:
    if report is None:
        return (
            "> **Not verified.** Nobody has shown that this model computes what its checkpoint does. It was published without a "
            "passing verification of these files."
        )
    tokenizer = " The tokenizer was not checked." if _has_tokenizer(folder) and not _tokenizer_checked(report) else ""
    return (
        f"> **Verified.** Every tensor was compared with the MXNet checkpoint, and the outputs of MXNet and PyTorch with each "
        f"other at every stage.{tokenizer} The verification is of these very files: `{REPORT_NAME}` has their SHA-256."
    )


def _has_tokenizer(folder: ModelFolder) -> bool:
    return TOKENIZER_NAME in folder.sha256


def _tokenizer_checked(report: Mapping[str, Any] | None) -> bool:
    """Whether the ids of GluonNLP's tokenizer were compared: without its vocabulary, a verification only warns."""
    return report is not None and any(check["kind"] == "tokenizer" for check in report["checks"])


def _what(folder: ModelFolder) -> str:
    architecture = folder.record["architecture"]
    written = [entry for entry in folder.record["ledger"] if entry["operation"] in ("copy", "cast")]
    parameters = sum(prod(entry["shape"]) for entry in written)
    dtypes = ", ".join(sorted({entry["dtype"] for entry in written}))
    name = f"`{architecture['name']}`: " if architecture["name"] else ""
    head = {
        "encoder": "the encoder alone, without a pooler",
        "mlm": "the encoder with its masked language model head",
        "classifier": "the encoder with a classifier, fine-tuned",
    }[folder.head]
    return (
        f"{name}{architecture['num_layers']} layers, {architecture['num_heads']} attention heads, hidden states of width "
        f"{architecture['units']}, feed-forward layers of width {architecture['hidden_size']}, {architecture['max_length']} "
        f"positions, {architecture['vocab_size']:,} tokens; {parameters:,} parameters in {dtypes}. It is {head}."
    )


def _recorded(folder: ModelFolder) -> str:
    if folder.changed:
        return "`conversion.json` has those of the conversion, after which tensors were changed, see below."
    return "`conversion.json` says of every tensor where it came from and what its SHA-256 is."


def _outputs(folder: ModelFolder) -> str:
    """The section on a classifier's outputs; nothing for other heads."""
    if folder.head != "classifier":
        return ""
    task, labels = folder.record["architecture"]["task"], folder.record["architecture"]["labels"]
    what = f"Fine-tuned on {task}." if task in TASKS else "What it was fine-tuned on is not recorded."
    if len(labels) == 1:
        return f"## Outputs\n\n{what} One output, a number: a regression.\n\n"
    rows = "\n".join(f"| {index} | {_code(label)} |" for index, label in enumerate(labels))
    return f"## Outputs\n\n{what}\n\n| output | label |\n| --- | --- |\n{rows}\n\n"


def _parity(report: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"| {stage['dtype']} | {stage['stage']} | {stage['largest']:.1e} | {stage['mean']:.1e} | {stage['atol']:.0e} |"
        for stage in _worst(report)
    )
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return (
        f"{len(report['checks'])} checks of the folder passed: each tensor's bytes, each field of the config, the loading with "
        f"Transformers. The outputs of both frameworks differ by at most this, at the valid positions of all batches that were "
        f"compared ({versions}):\n\n"
        f"| dtype | stage | largest | mean | allowed |\n| --- | --- | ---: | ---: | ---: |\n{rows}\n\n"
        f"In float64 with the LayerNorms' eps rounded to float32, as MXNet holds it. All numbers are in `{REPORT_NAME}`."
    )


def _worst(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """For each dtype and stage, in order, the comparison that came nearest to its tolerance."""
    worst: dict[tuple[str, str], Mapping[str, Any]] = {}
    for stage in report["stages"]:
        key = (stage["dtype"], stage["stage"])
        if key not in worst or _used(stage) > _used(worst[key]):
            worst[key] = stage
    yield from worst.values()


def _used(stage: Mapping[str, Any]) -> float:
    used: float = stage["largest"] / stage["atol"] if stage["atol"] else (inf if stage["largest"] else 0)
    return used


def _inexact(folder: ModelFolder, report: Mapping[str, Any] | None) -> Iterator[str]:
    if folder.head == "mlm":
        line = (
            "GluonNLP's masked language model head normalises with eps 1e-12, its encoder with 1e-5; a BERT config has one eps "
            "for both, so the logits are not exact as shipped."
        )
        residual = report["known_residual"] if report else None
        if residual and residual["largest"] is not None:
            line += (
                f" They differ from MXNet's by at most {residual['largest']:.1e} (mean {residual['mean']:.1e}, float64); the "
                f"best token is the same at {residual['same_top1']:.1%} of {residual['positions']} positions. With the head's "
                "own eps they agree as the table says."
            )
        yield line
    if is_rounded(folder):
        yield "The weights are rounded." + (_rounding(report) if report else "")
    yield "GluonNLP sets the outputs at padded positions to zero, BERT does not; those positions were not compared."
    for warning in report["warnings"] if report else ():
        yield f"The verification warned: {warning}"


def _rounding(report: Mapping[str, Any]) -> str:
    line = " The table is of the model before that, the tensors having been checked to be its, correctly rounded"
    moved = max(report["export_rounding"], key=lambda each: each["largest"], default=None)
    if moved is None:
        return f"{line}."
    return f"{line}; the rounding moves outputs by at most {moved['largest']:.1e} ({moved['stage']}, float64)."


def _load(folder: ModelFolder, repo_id: str, revision: str | None) -> str:
    name, auto_class = json.dumps(repo_id), _AUTO_CLASSES[folder.head]
    at = f", revision={json.dumps(revision)}" if revision else ""
    tokenizer = _has_tokenizer(folder)
    lines = [f"from transformers import {auto_class}" + (", AutoTokenizer" if tokenizer else ""), ""]
    pooling = ", add_pooling_layer=False" if folder.head == "encoder" else ""
    lines.append(f"model = {auto_class}.from_pretrained({name}{at}{pooling})")
    if tokenizer:
        lines.append(f"tokenizer = AutoTokenizer.from_pretrained({name}{at})")
    return "\n".join(lines)


def _limits(folder: ModelFolder, report: Mapping[str, Any] | None) -> Iterator[str]:
    architecture = folder.record["architecture"]
    yield f"English, cased; at most {architecture['max_length']} tokens, padded on the right."
    if _tokenizer_checked(report):
        yield "A pair of texts has one `</s>` between them, where RoBERTa's own tokenizer writes two."
    elif _has_tokenizer(folder):
        yield "Nobody has shown that the tokenizer is Bort's."
    else:
        yield (
            "There is no tokenizer here. Bort was trained with GluonNLP's `openwebtext_ccnews_stories_books_cased` vocabulary; "
            "RoBERTa's tokenizer has other special tokens between pairs of texts."
        )
    if folder.head == "mlm":
        yield (
            "Users found the words that Bort fills masks with to be poor in the original code as well (alexa/bort issue 9). This "
            "conversion proves that nothing changed, not that the model is good."
        )
    yield "Nothing was evaluated on any task for this conversion. What the training data held of bias, the model has."
    if folder.head == "encoder":
        yield "There is no pooler. Where Transformers adds one, it is random."
    yield from (f"A tensor of the checkpoint is not finite: {warning}" for warning in folder.record["warnings"])


def _bullets(lines: Iterator[str] | list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _code(text: str) -> str:
    """A label as code in a cell of a table."""
    before, after = ("`` ", " ``") if "`" in text else ("`", "`")
    return before + text.replace("|", "\\|").replace("\n", " ") + after


_NO_PARITY = "Nothing was compared."
