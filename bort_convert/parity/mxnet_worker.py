"""The MXNet side, alone in its process: writes sample checkpoints and computes reference outputs.

One stand-alone file that needs mxnet, gluonnlp and numpy only, and runs under Python 3.7 to 3.12, so that any MXNet of any
environment can be asked. It takes one argument, the path of a job in JSON, and prints one line of JSON for each event:
``{"versions": {...}}`` first, then ``{"done": dtype}`` for each dtype. Jobs::

    {"command": "sample", "checkpoint": path to write, "seed": int,
     "architecture": {num_layers, num_heads, units, hidden_size, max_length, vocab_size}, "head": name,
     "num_outputs": int and "classifier_dropout": bool where the head is a classifier}
    {"command": "run", "checkpoint": path to read, "architecture": ..., "head": name,
     "inputs": path of an .npz, "outputs": {dtype: path of an .npz to write}, "ignore_extra": bool,
     "within_classifier": bool, whether the head is a bare encoder and the checkpoint a classifier that has it inside}
    {"command": "tokenize", "vocab": path of GluonNLP's vocabulary, "bpe_ranks": path of its BPE ranks,
     "texts": path of a JSON list of lists of one or two texts, "ids": path of a JSON object to write}

The checkpoint is loaded in the first dtype of ``outputs`` and cast to the next; the first must hold it without rounding.

The inputs are batches ``B.input_ids`` (batch, length) int32, ``B.valid_length`` (batch,) int32 and ``B.masked_positions``
(batch, n) int32 for batch names B. The outputs are ``B.embedding`` and ``B.hidden.I`` (batch, length, units),
``B.attention.I`` (batch, heads, length, length), and ``B.mlm_logits`` (batch, n, vocabulary) or ``B.logits`` (batch, outputs).

The object that ``tokenize`` writes holds ``texts``, the ids of each entry with Bort's special tokens around them, and
``special_tokens``, the id of each of those. It takes the regex package too, which GPT2BPETokenizer imports.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

if not hasattr(np, "bool"):
    np.bool = np.bool_  # mxnet 1.9.1 reads it on import; NumPy 1.24 took it away

import gluonnlp as nlp
import mxnet as mx

LAYER_NORM_EPS = 1e-5
DROPOUT = 0.1


def main(job_path):
    """Does the job and reports its events."""
    with open(job_path) as file:
        job = json.load(file)
    report(
        versions={
            "python": sys.version.split()[0],
            "mxnet": mx.__version__,
            "gluonnlp": nlp.__version__,
            "numpy": np.__version__,
        }
    )
    {"sample": sample, "run": run, "tokenize": tokenize}[job["command"]](job)


def report(**event):
    """Prints one event."""
    print(json.dumps(event))
    sys.stdout.flush()


class Classifier(mx.gluon.Block):
    """A Bort with a classifier on row 0: Dropout, Dense with tanh, Dropout, Dense; without dropout no Dropout layers."""

    def __init__(self, bort, units, num_classes, dropout, **options):
        super().__init__(**options)
        self.bort = bort
        with self.name_scope():
            self.classifier = mx.gluon.nn.HybridSequential(prefix="")
            with self.classifier.name_scope():
                for size, activation in ((units, "tanh"), (num_classes, None)):
                    if dropout:
                        self.classifier.add(mx.gluon.nn.Dropout(dropout))
                    self.classifier.add(mx.gluon.nn.Dense(size, activation=activation, in_units=units))


def build(job, outputs=False, prefixes=None):
    """The GluonNLP model of a Bort: no token types, no pooler, and an MLM decoder, a classifier or neither.

    ``outputs`` makes it give every layer's hidden states and attention probabilities; ``prefixes`` are those of its blocks.
    """
    architecture, head, prefixes = job["architecture"], job["head"], prefixes or {}
    encoder = nlp.model.BERTEncoder(
        num_layers=architecture["num_layers"],
        units=architecture["units"],
        hidden_size=architecture["hidden_size"],
        max_length=architecture["max_length"],
        num_heads=architecture["num_heads"],
        dropout=DROPOUT,
        output_attention=outputs,
        output_all_encodings=outputs,
        activation="gelu",
        layer_norm_eps=LAYER_NORM_EPS,
        prefix=prefixes.get("encoder"),
    )
    model = nlp.model.RoBERTaModel(
        encoder,
        vocab_size=architecture["vocab_size"],
        units=architecture["units"],
        embed_size=architecture["units"],
        use_decoder=head == "mlm",
        prefix=prefixes.get("model"),
    )
    if head == "classifier":
        dropout = DROPOUT if job["classifier_dropout"] else 0
        model = Classifier(model, architecture["units"], job["num_outputs"], dropout, prefix=prefixes.get("classifier"))
    return model


def backbone(model):
    """The encoder and embeddings of a model, classifier or not."""
    return getattr(model, "bort", model)


def sample(job):
    """Writes a random checkpoint with ``save_parameters``, every tensor of it such that it matters to the outputs."""
    model = build(job)
    model.initialize(mx.init.Zero())
    inputs = {"input_ids": np.zeros((1, 1)), "valid_length": np.ones(1), "masked_positions": np.zeros((1, 1))}
    forward(backbone(model), inputs)  # Dense layers learn their shapes from the first call
    generator = np.random.RandomState(job["seed"])
    # A tied weight has two names and one parameter, which must be drawn once.
    parameters = {id(parameter): parameter for parameter in model._collect_params_with_prefix().values()}
    for parameter in parameters.values():
        parameter.set_data(mx.nd.array(draw(generator, parameter), dtype="float32"))
    model.save_parameters(job["checkpoint"])
    report(done="float32")


def draw(generator, parameter):
    """Random values at which no stage of the model saturates or vanishes."""
    values = generator.standard_normal(parameter.shape).astype("float32")
    if parameter.name.endswith("gamma"):
        return 1 + 0.1 * values
    if len(parameter.shape) == 1:
        return 0.1 * values
    if "embed" in parameter.name or "position" in parameter.name:
        return 0.5 * values
    return values * np.float32(1 / np.sqrt(parameter.shape[1]))


def run(job):
    """Loads the checkpoint with ``load_parameters`` and writes the outputs of every dtype."""
    with np.load(job["inputs"]) as arrays:
        inputs = {name: arrays[name] for name in arrays.files}
    batches = sorted({name.split(".")[0] for name in inputs})
    model = None
    for dtype, path in job["outputs"].items():
        if model is None:
            model = load(job, dtype)
        else:
            model.cast(dtype)
        outputs = {}
        for batch in batches:
            arrays = {name: inputs[batch + "." + name] for name in ("input_ids", "valid_length", "masked_positions")}
            for stage, array in stages(model, arrays, dtype).items():
                outputs[batch + "." + stage] = array
        with open(path, "wb") as file:
            np.savez(file, **outputs)
        report(done=dtype)


def load(job, dtype):
    """The model of the checkpoint in ``dtype``. Every parameter must be in the file.

    Structural names are loaded by ``load_parameters``. Flat names are those of a model whose blocks have the file's prefixes.
    """
    arrays = read_arrays(job["checkpoint"])
    flat = not any("." in name for name in arrays)
    model = build(job, outputs=True, prefixes=read_prefixes(arrays) if flat else None)
    model.cast(dtype)
    parameters = model.collect_params()
    parameters.setattr("grad_req", "null")  # no gradients: half the memory, and half the time
    if not flat:
        options = {"ctx": mx.cpu(), "cast_dtype": True, "ignore_extra": job["ignore_extra"]}
        with numpy_shape(job["checkpoint"]):
            within(model, job).load_parameters(job["checkpoint"], **options)
        return model
    parameters.initialize(mx.init.Zero())
    for name, parameter in parameters.items():
        array = arrays.pop(name)
        parameter.shape = array.shape
        parameter.set_data(array.astype(dtype))
    if arrays and not job["ignore_extra"]:
        raise ValueError("parameters that the model lacks: " + ", ".join(sorted(arrays)))
    return model


def within(model, job):
    """The block whose names the checkpoint has: the model, or a classifier's that holds it."""
    if not job["within_classifier"]:
        return model
    classifier = mx.gluon.Block()
    classifier.bort = model
    return classifier


def read_arrays(path):
    """The file's arrays by name, without ``arg:`` or ``aux:``, block names as GluonNLP 0.8 spells them."""
    with numpy_shape(path):
        arrays = mx.nd.load(path)
    return {old_name(name.split(":")[-1]): array for name, array in arrays.items()}


def old_name(name):
    """A flat name as GluonNLP 0.8 spells it; a structural one as it is."""
    if "." in name:
        return name
    name = name.replace("dotproductselfattentioncell0", "multiheadattentioncell0")
    name = name.replace("_positionwiseffn0", "_bertpositionwiseffn0")
    return name.replace("_layernorm0", "_bertlayernorm0")


def read_prefixes(names):
    """The prefixes of the blocks that own the parameters of these flat names."""
    prefixes = {}
    for block, suffix in (("encoder", "position_weight"), ("model", "word_embed_embedding0_weight")):
        (prefixes[block],) = [name[: -len(suffix)] for name in names if name.endswith(suffix)]
    for name in names:
        if name.endswith("dense1_weight"):
            prefixes["classifier"] = name[: -len("dense1_weight")]
    return prefixes


def numpy_shape(path):
    """The mode in which MXNet reads the file: its arrays are V3 where it was saved in NumPy-shape mode."""
    with open(path, "rb") as file:
        version = file.read(28)[24:28]
    return mx.util.np_shape(version == b"\xca\xfa\x93\xf9")


def stages(model, inputs, dtype):
    """Every output of one batch, by stage."""
    embeddings = []
    hook = backbone(model).encoder.layer_norm.register_forward_hook(
        lambda block, arguments, output: embeddings.append(output.asnumpy())
    )
    results = forward(backbone(model), inputs, dtype)
    hook.detach()
    hidden, attention = results[0], results[1]
    outputs = {"embedding": embeddings[0]}
    for layer in range(len(hidden)):
        outputs["hidden.%d" % layer] = hidden[layer].asnumpy()
        (probabilities,) = attention[layer]
        outputs["attention.%d" % layer] = probabilities.asnumpy()
    if len(results) > 2:
        outputs["mlm_logits"] = results[2].asnumpy()
    if backbone(model) is not model:
        outputs["logits"] = model.classifier(hidden[-1][:, 0, :]).asnumpy()
    return outputs


def forward(model, inputs, dtype="float32"):
    """The backbone's results for one batch. ``valid_length`` must have the model's dtype."""
    return model(
        mx.nd.array(inputs["input_ids"], dtype="int32"),
        mx.nd.array(inputs["valid_length"], dtype=dtype),
        mx.nd.array(inputs["masked_positions"], dtype="int32"),
    )


def tokenize(job):
    """Writes the ids of the texts, as the fine-tuning code of Bort makes them: one ``</s>`` between the texts of a pair."""
    tokenizer, vocabulary = load_tokenizer(job["vocab"], job["bpe_ranks"])
    begin, end = vocabulary["<s>"], vocabulary["</s>"]
    ids = []
    for texts in json.loads(Path(job["texts"]).read_text(encoding="utf-8")):
        ids.append([begin])
        for text in texts:
            ids[-1] += vocabulary[tokenizer(text)] + [end]
    special = {token: vocabulary[token] for token in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")}
    Path(job["ids"]).write_text(json.dumps({"texts": ids, "special_tokens": special}))
    report(done="tokenize")


def load_tokenizer(vocab, bpe_ranks):
    """GluonNLP's own tokenizer and vocabulary of these two files."""
    import regex  # noqa: F401  GluonNLP's own error does not name the module

    path = Path(bpe_ranks).absolute()

    class Tokenizer(nlp.data.GPT2BPETokenizer):
        # The one file that GluonNLP knows is downloaded by name and SHA-1; with this file's own, it is read where it is.
        bpe_ranks_file_hash = (path.name, hashlib.sha1(path.read_bytes()).hexdigest())

    return Tokenizer(root=str(path.parent)), nlp.Vocab.from_json(Path(vocab).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(sys.argv[1])
