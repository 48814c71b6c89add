import csv
import io
import json
import math
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NUM_TINY_TEST, ROOT, Script, composed, digit_images
from PIL import Image

from mobilenet_lab import Predictor
from mobilenet_lab.data.images import MAX_BYTES, load_image
from mobilenet_lab.inference.image_files import list_images
from mobilenet_lab.inference.predict import predict, predict_files
from mobilenet_lab.inference.predictor import Prediction
from mobilenet_lab.inference.progress import with_progress
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the tiny test images as PNG files, named by position and label."""
    folder = tmp_path_factory.mktemp("images")
    for i, (pixels, label) in enumerate(zip(*digit_images(NUM_TINY_TEST, seed=2), strict=True)):
        Image.fromarray(pixels).save(folder / f"{i:02d}_{label}.png")
    return folder


def test_predictor_agrees_with_the_test_of_the_run(tiny_run: Path, photos: Path) -> None:
    predictor = Predictor(tiny_run, preprocess="none")
    files = sorted(photos.iterdir())
    predictions = predictor([Image.open(file) for file in files])
    right = sum(p.class_name == file.stem[-1] for p, file in zip(predictions, files, strict=True))
    result = json.loads((tiny_run / "result.json").read_text())
    assert right / len(files) == pytest.approx(result["test/accuracy"], abs=1e-4)
    for prediction in predictions:
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert prediction.confidence == max(prediction.probabilities.values())


def in_double(predictor: Predictor) -> Predictor:
    """Let it compute in float64: how far float32 rounds depends on the machine, the weights and the batch."""
    for network, _ in predictor._ensemble.members:
        network.double().register_forward_pre_hook(lambda network, images: images[0].double())
    return predictor


def test_fusing_batch_norm_changes_rounding_only(tiny_run: Path, photos: Path) -> None:
    images = [Image.open(file) for file in sorted(photos.iterdir())]
    folded, plain = (in_double(Predictor(tiny_run, fuse_bn=fold))(images) for fold in (True, False))
    for one, other in zip(folded, plain, strict=True):
        assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 40, 100])
def test_files_are_classified_in_order_for_any_batch_size(
    tiny_run: Path, photos: Path, tmp_path: Path, batch_size: int
) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"nothing")
    files = [str(path) for path in sorted(photos.iterdir())]
    names = [*files[:10], str(damaged), *files[10:]]
    predictor = in_double(Predictor(tiny_run, preprocess="none"))
    failures: list[str] = []
    predictions = list(predict_files(predictor, names, batch_size, failures))
    assert [name for name, _ in predictions] == files
    assert failures == [f"{damaged}: not an image"]
    for name, prediction in predictions:
        alone = predictor([Image.open(name)])[0]
        assert prediction.confidence == pytest.approx(alone.confidence, abs=1e-5)
    assert list(predict_files(predictor, [], batch_size, failures)) == []


def test_large_images_are_classified_in_smaller_batches(
    tiny_run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = in_double(Predictor(tiny_run, preprocess="none"))
    files = [str(path) for path in sorted(photos.iterdir())]
    together = [prediction for _, prediction in predict_files(predictor, files, 100, [])]
    sizes, classify = [], predictor.classify

    def count(pixels: list[np.ndarray]) -> list[Prediction]:
        sizes.append(len(pixels))
        return classify(pixels)

    monkeypatch.setattr(predictor, "classify", count)
    pixels = 3 * predictor._ensemble.largest_side**2
    monkeypatch.setattr("mobilenet_lab.inference.ensemble.MAX_BATCH_PIXELS", pixels)
    few = [prediction for _, prediction in predict_files(predictor, files, 100, [])]
    assert max(sizes) == 3
    for one, other in zip(few, together, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-5)


def test_image_without_a_finite_answer_is_an_error_of_that_image(
    tiny_run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of 1e38 are finite, but sums of their products are not."""
    checkpoint = torch.load(tiny_run / "checkpoints/best.ckpt", weights_only=True)
    checkpoint["state_dict"]["network.classifier.1.weight"].fill_(1e38)
    torch.save(checkpoint, tmp_path / "huge.ckpt")
    predictor, failures = Predictor(tmp_path / "huge.ckpt"), list[str]()
    files = [str(path) for path in sorted(photos.iterdir())[:3]]
    assert list(predict_files(predictor, files, 100, failures)) == []
    reason = "the network computes NaN or infinity for it; use another checkpoint"
    assert failures == [f"{name}: {reason}" for name in files]
    with Image.open(files[0]) as image, pytest.raises(InputError, match=rf"^images\[0\]: {reason}"):
        predictor([image])

    predictor, failures = Predictor(tiny_run), []
    complete = predictor.probabilities

    def without_second(images: np.ndarray) -> np.ndarray:
        probabilities = complete(images)
        probabilities[1] = math.nan
        return probabilities

    monkeypatch.setattr(predictor, "probabilities", without_second)
    answered = [name for name, _ in predict_files(predictor, files, 100, failures)]
    assert answered == [files[0], files[2]]
    assert failures == [f"{files[1]}: {reason}"]


def test_open_images_give_the_predictions_of_their_files(tiny_run: Path, tmp_path: Path) -> None:
    predictor = Predictor(tiny_run)
    stroke = np.zeros((60, 60, 4), np.uint8)
    stroke[10:50, 28:34, 3] = 255  # black on nothing
    Image.fromarray(stroke).save(tmp_path / "stroke.png")
    Image.fromarray(stroke[..., 3].astype(np.uint16) << 8).save(tmp_path / "deep.png")
    for name in ("stroke.png", "deep.png"):
        (expected,) = predict_files(predictor, [str(tmp_path / name)], 1, [])
        with Image.open(tmp_path / name) as image:
            assert predictor([image])[0] == expected[1]


def test_prediction_does_not_depend_on_the_batch(tiny_run: Path, photos: Path) -> None:
    predictor = in_double(Predictor(tiny_run))
    images = [Image.open(file) for file in sorted(photos.iterdir())[:5]]
    together = predictor(images)
    for image, expected in zip(images, together, strict=True):
        assert predictor([image])[0].confidence == pytest.approx(expected.confidence, abs=1e-5)


def test_output_formats_agree(script: Script, fresh_script: Script, tiny_run: Path, photos: Path) -> None:
    asked = [photos / "03_3.png", photos / "00_0.png"]
    image = f"image=[{asked[0]},{asked[1]}]"
    outputs = {
        name: run("predict.py", f"ckpt={tiny_run}", image, f"format={name}")
        for name, run in {"text": fresh_script, "json": script, "csv": script}.items()
    }
    for name, done in outputs.items():
        assert (done.returncode, done.stderr) == (0, ""), name
    entries = json.loads(outputs["json"].stdout)
    assert [entry["image"] for entry in entries] == [str(path) for path in asked]
    for entry in entries:
        assert list(entry) == ["image", "class", "confidence", "probabilities", "note"]
        assert list(entry["probabilities"]) == [str(d) for d in range(10)]
        assert entry["confidence"] == entry["probabilities"][entry["class"]]
    rows = list(csv.DictReader(io.StringIO(outputs["csv"].stdout)))
    assert [(row["image"], row["class"]) for row in rows] == [(e["image"], e["class"]) for e in entries]
    assert float(rows[0]["7"]) == entries[0]["probabilities"]["7"]
    lines = outputs["text"].stdout.splitlines()
    assert lines[0].startswith(f"{asked[0]}: {entries[0]['class']} (")


def test_folders_globs_standard_input_and_unusual_names_are_read(
    script: Script, tiny_run: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "a=b, (1)"
    odd.mkdir()
    pixels = digit_images(1, seed=5)[0][0]
    for name in ("x [1].png", "it's = {y}.png", "ü.jpg"):
        Image.fromarray(pixels).save(odd / name)
    (odd / "notes.txt").write_text("no image")
    (odd / "phone.heic").write_bytes(b"\0\0\0\x10ftypheic" + bytes(4))
    ckpt = f"ckpt={tiny_run / 'checkpoints/best.ckpt'}"
    folder = script("predict.py", ckpt, f"image={odd}")
    assert (folder.returncode, len(folder.stdout.splitlines())) == (1, 3)
    assert "files without the extension of an image are left out: 1 .txt\n" in folder.stderr
    assert f"error: {odd}/phone.heic: " in folder.stderr
    assert len(script("predict.py", ckpt, "image=a=b, (1)/*.png").stdout.splitlines()) == 2
    one = script("predict.py", ckpt, "image=a=b, (1)/it's = {y}.png")
    assert one.stdout.startswith("a=b, (1)/it's = {y}.png: "), one.stderr
    piped = script("predict.py", ckpt, "image=-", input=(odd / "x [1].png").read_bytes())
    assert piped.stdout.startswith(b"-: "), piped.stderr


def test_unreadable_images_are_reported_and_others_classified(
    script: Script, tiny_run: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"nothing")
    image = f"image=[bad.png,{photos / '00_0.png'},missing.png]"
    done = script("predict.py", f"ckpt={tiny_run}", image)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr.splitlines() == [
        "error: image=missing.png: no such file",
        "error: bad.png: not an image",
    ]


@pytest.mark.run
@pytest.mark.parametrize("argument", [[], ["image=x.png", "ckpt=nowhere"]])
def test_missing_argument_error_is_one_line(script: Script, argument: list[str]) -> None:
    done = script("predict.py", *argument)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.run
def test_prediction_imports_no_training_code() -> None:
    code = (
        "import sys; sys.path.insert(0, 'src'); import mobilenet_lab.inference.predict;"
        "print([m for m in ('lightning', 'torchmetrics', 'matplotlib', 'tensorboard') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def write_header_only_png(path: Path, width: int, height: int) -> None:
    """Write an image whose header claims a size; its data are zeros, compressed to a thousandth of it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(min(height, 2000) * (3 * width + 1)), 1)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def write_tiled_tiff(path: Path, side: int) -> None:
    """Write ten pixels in a tile of another size, compressed with LZW."""
    values = {
        256: 10,
        257: 1,
        258: 8,
        259: 5,
        262: 1,
        277: 1,
        322: side,
        323: side,
        324: 8 + 2 + 12 * 10 + 4,
        325: 9,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    header = b"II*\0" + struct.pack("<IH", 8, len(values))
    path.write_bytes(header + entries + bytes(4) + b"\x80\0" * 1000)


def write_odd_images(folder: Path) -> list[str]:
    """Write unusual but intact images."""
    digit = Image.fromarray(digit_images(1, seed=5)[0][0])
    exif = Image.Exif()
    exif[0x0112] = 8
    frames = [digit, digit.rotate(90)]
    folder.mkdir()
    Image.new("L", (1, 1), 7).save(folder / "1x1.png")
    Image.new("RGB", (20_000, 3), (9, 200, 9)).save(folder / "wide.png")
    Image.new("RGB", (2, 20_000), (9, 200, 9)).save(folder / "high.jpg")
    Image.fromarray(np.asarray(digit).astype(np.uint16) * 257).save(folder / "16bit.png")
    Image.fromarray(np.asarray(digit).astype(np.float32)).save(folder / "float.tif")
    digit.convert("CMYK").save(folder / "cmyk.jpg")
    digit.convert("P").save(folder / "palette.png", transparency=0)
    digit.convert("LA").save(folder / "alpha.png")
    digit.convert("1").save(folder / "bits.png")
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    digit.save(folder / "turned.jpg", exif=exif, quality=95)
    names = [
        "a b",
        "a=b",
        "a,b",
        "it's",
        'say "x"',
        "[1]",
        "{y}",
        "(z)",
        "ü 数",
        "-x",
        "$HOME",
        "#;&",
        "back\\n",
    ]
    for name in [*names, "new\nline", "\udcff"]:
        digit.save(folder / f"{name}.png")
    return sorted(str(path) for path in folder.iterdir())


def write_bad_images(folder: Path) -> dict[str, str]:
    """Write corrupt images; return the expected reason by name."""
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for name in ("cut.png", "cut.jpg", "cut.gif", "cut.tif", "cut.webp"):
        Image.fromarray(noise).save(folder / name)
        (folder / name).write_bytes((folder / name).read_bytes()[:1500])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no image")
    (folder / "postscript.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    write_header_only_png(folder / "bomb.png", 8193, 8192)
    write_header_only_png(folder / "big bomb.png", 30_000, 30_000)
    write_tiled_tiff(folder / "tile.tif", 32_768)
    with (folder / "heavy.bmp").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    reasons = dict.fromkeys(("cut.png", "cut.jpg", "cut.gif", "cut.tif", "cut.webp"), "damaged image")
    reasons |= dict.fromkeys(("empty.png", "text.png", "postscript.png"), "not an image")
    reasons["bomb.png"] = "67,117,056 pixels; reduce it to at most 67,108,864"
    reasons["big bomb.png"] = "too many pixels"
    reasons["tile.tif"] = "1,073,741,824 pixels"
    return reasons | {"heavy.bmp": "bytes; reduce it to at most 536,870,912"}


def test_intact_images_are_classified_and_corrupt_ones_reported(
    script: Script, tiny_run: Path, tmp_path: Path
) -> None:
    """One call classifies all intact images in order, with any names."""
    odd, bad = write_odd_images(tmp_path / "odd"), write_bad_images(tmp_path / "bad")
    (tmp_path / "broken.png").symlink_to("nowhere")
    (tmp_path / "itself.png").symlink_to("itself.png")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    long = "n" * 300 + ".png"
    extra = ["broken.png", "itself.png", "folder.png", "pipe.png", "/proc/self/mem", "ü" * 200, long]
    images = ",".join([extra[0], str(tmp_path / "bad"), *extra[1:], str(tmp_path / "odd"), odd[0]])
    done = script("predict.py", f"ckpt={tiny_run}", f"image=[{images}]", "format=json")
    assert done.returncode == 1
    assert [entry["image"] for entry in json.loads(done.stdout)] == [*odd, odd[0]]
    lines = done.stderr.splitlines()
    assert len(lines) == len(bad) + len(extra), done.stderr
    assert all(line.startswith("error: ") for line in lines)
    for name, reason in bad.items():
        assert any(f"bad/{name}: " in line and reason in line for line in lines), (name, done.stderr)
    for name in extra:
        assert sum(name[:60] in line for line in lines) == 1, (name, done.stderr)


def test_unusual_names_in_every_format(script: Script, tiny_run: Path, tmp_path: Path) -> None:
    names = write_odd_images(tmp_path / "odd")
    for stem in ("-x", 'say "x"', "back\\n"):
        name = str(tmp_path / f"odd/{stem}.png")
        done = script("predict.py", f"ckpt={tiny_run}", f"image={name}", "format=json")
        assert done.returncode == 0, (name, done.stderr)
        assert [entry["image"] for entry in json.loads(done.stdout)] == [name]
    ask = ("predict.py", f"ckpt={tiny_run}", f"image={tmp_path / 'odd'}")
    done = script(*ask, "format=csv", input=b"")  # bytes, since one name is not UTF-8
    assert (done.returncode, done.stderr) == (1, b"")  # three images are blank
    rows = list(csv.reader(io.StringIO(done.stdout.decode(errors="surrogateescape"), newline="")))
    assert [row[0] for row in rows[1:]] == names
    blank = [Path(row[0]).name for row in rows if row[-1] == "no digit found"]
    assert blank == ["1x1.png", "high.jpg", "wide.png"]
    shown = script(*ask, "format=text", input=b"").stdout.decode().splitlines()
    assert len(shown) == len(names)
    assert any(line.startswith(f"{tmp_path}/odd/new\\nline.png: ") for line in shown)


def test_first_frame_is_read_upright(tmp_path: Path) -> None:
    write_odd_images(tmp_path / "odd")
    upright = np.asarray(Image.fromarray(digit_images(1, seed=5)[0][0]), int)
    for name in ("moving.gif", "moving.webp", "16bit.png", "float.tif"):
        opened = np.asarray(load_image(tmp_path / "odd" / name).convert("L"), int)
        assert np.abs(opened - upright).max() <= 2, name
    turned = np.asarray(load_image(tmp_path / "odd/turned.jpg").convert("L"), int)
    assert np.abs(turned - np.rot90(upright)).mean() < 4


@pytest.mark.run
def test_looping_links_count_once(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    (folder / "b").mkdir(parents=True)
    Image.new("L", (3, 3)).save(folder / "b/x.png")
    Image.new("L", (3, 3)).save(folder / "b/.hidden.png")
    (folder / ".hidden").mkdir()
    Image.new("L", (3, 3)).save(folder / ".hidden/x.png")
    for i in range(3):  # following these links would give 3^40 paths
        (folder / f"loop{i}").symlink_to(folder)
    for pattern in (
        folder,
        f"{folder}/**",
        f"{folder}/**/*.png",
        f"{tmp_path}/**/b/x.*",
        f"{tmp_path}/*/**/x.png",
    ):
        names, failures = list_images([str(pattern)])
        assert {os.path.realpath(name) for name in names} == {str(folder / "b/x.png")}
        assert len(names) <= 4
        assert failures == []
    assert list_images([f"{folder}/**/*.jpg"])[1] == [f"image={folder}/**/*.jpg: no such file"]


@pytest.mark.run
def test_memory_is_bounded_for_images_of_huge_size(tmp_path: Path) -> None:
    bad = write_bad_images(tmp_path / "bad")
    Image.new("RGBA", (16_000, 16_000)).save(tmp_path / "bad/bomb.webp", lossless=True, quality=0, method=0)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from mobilenet_lab.data.images import load_image\n"
        "from mobilenet_lab.runtime.errors import InputError\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before, refused = peak(), 0\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: load_image(path)\n"
        "    except InputError: refused += 1\n"
        "print(refused, (peak() - before) // 1024)"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "bad")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    refused, grown_mib = map(int, done.stdout.split())
    assert refused == len(bad) + 1
    assert grown_mib < 100


def test_full_disk_below_standard_output_is_one_line(tiny_run: Path, photos: Path) -> None:
    """The error comes when the output is flushed, and must not come again when Python exits."""
    command = f"{sys.executable} {ROOT / 'predict.py'} ckpt={tiny_run} image={photos}/00_0.png > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == ("error: standard output: No space left on device; write to another file or disk\n")


def test_endless_standard_input_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    """No more is read from an endless stream than an image may have."""
    limit = f"ulimit -v {8 << 20}; "
    command = f"{limit} cat /dev/zero | {sys.executable} {ROOT / 'predict.py'} ckpt={tiny_run} image=-"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: standard input: has more than 536,870,912 bytes\n"


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(Path("payload-ran")), "w")


@pytest.mark.parametrize("damage", ["payload", "empty", "cut", "other", "shapes", "network"])
def test_untrusted_checkpoints_are_refused(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.chdir(tmp_path)
    good = tiny_run / "checkpoints/best.ckpt"
    checkpoint = torch.load(good, weights_only=True)
    path = tmp_path / "x.ckpt"
    if damage == "payload":
        torch.save(checkpoint | {"extra": Payload()}, path)
    elif damage == "empty":
        path.touch()
    elif damage == "cut":
        path.write_bytes(good.read_bytes()[:5000])
    elif damage == "other":
        torch.save({"weights": torch.zeros(3)}, path)
    elif damage == "shapes":
        checkpoint["hyper_parameters"]["model"]["filters"] = 2
        torch.save(checkpoint, path)
    else:
        checkpoint["hyper_parameters"]["model"]["network"] = "os.system"
        torch.save(checkpoint, path)
    with pytest.raises(InputError) as error:
        Predictor(path)
    assert "\n" not in str(error.value)
    assert "weights_only" not in str(error.value)
    assert not Path("payload-ran").exists()


def test_list_images_keeps_the_order_asked_for(photos: Path) -> None:
    names, failures = list_images([str(photos / "05_5.png"), str(photos / "0[0-2]_*.png"), "none.png"])
    assert [Path(name).stem for name in names] == ["05_5", "00_0", "01_1", "02_2"]
    assert failures == ["image=none.png: no such file"]


def test_gray_and_color_images_share_a_batch(tmp_path: Path) -> None:
    module = ImageClassifier(
        {"network": "mobilenet_v2", "filters": 1},
        classes=["a", "b"],
        preprocessing={"image_size": 32, "channels": 3, "mean": 0.5, "std": 0.5, "resize": "auto"},
        data={"name": "image_folder", "native_size": 32, "mnist_style": False, "fit": "crop"},
    )
    contents = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    torch.save(contents | {"epoch": 0, "global_step": 0}, tmp_path / "x.ckpt")
    photos = [Image.new("L", (9, 9), 100), Image.new("RGB", (9, 9), (100, 100, 100))]
    gray, color = Predictor(tmp_path / "x.ckpt")(photos)
    assert gray.probabilities == pytest.approx(color.probabilities, abs=1e-6)


def test_color_images_of_any_size_are_classified(tiny_run: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 200, 3), np.uint8)
    for preprocess in ("auto", "none"):
        assert len(Predictor(tiny_run, preprocess)([Image.fromarray(pixels)])) == 1


def test_answers_are_saved_and_drawn(script: Script, tiny_run: Path, photos: Path, tmp_path: Path) -> None:
    ask = ("predict.py", f"ckpt={tiny_run}", f"image={photos}", "preprocess=none", "batch_size=7", "top_k=2")
    done = script(*ask, "output=new/all.json", "save_images=cards (1)", "explain=true")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "new/all.json: 40 images\n")
    entries = json.loads((tmp_path / "new/all.json").read_text())
    printed = script(*ask, "format=json", "output=all.csv")
    assert [entry["image"] for entry in json.loads(printed.stdout)] == [entry["image"] for entry in entries]
    assert [len(entry["top"]) for entry in entries] == [2] * NUM_TINY_TEST
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert [row["class_2"] for row in rows] == [entry["top"][1]["class"] for entry in entries]
    names = sorted(path.name for path in photos.iterdir())
    assert sorted(path.name for path in (tmp_path / "cards (1)").iterdir()) == names
    for name in names[::13]:
        with Image.open(tmp_path / "cards (1)" / name) as card, Image.open(photos / name) as image:
            assert card.width > 3 * 224  # image, network input and evidence
            seen = np.asarray(card.convert("L"))[12:236, 248:472]
            assert (seen == np.kron(np.asarray(image), np.ones((8, 8), np.uint8))).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["output=x.txt"], "output=x.txt: must end in .csv or .json"),
        (["explain=true"], "explain=true: is drawn into saved images; add save_images=<folder>"),
        (["top_k=11"], "top_k=11: the model has 10 classes; use fewer"),
        (["top_k=0"], "top_k=0: must be an integer of at least 1 or null"),
        (["save_images=img.png"], "save_images=img.png: is a file; use another name for the folder"),
        (
            ["save_images=."],
            "save_images=.: img.png exists and was not written by predict.py; use another folder",
        ),
    ],
)
def test_wrong_wish_is_refused_and_nothing_is_written(
    script: Script, tiny_run: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    Image.fromarray(digit_images(1, seed=5)[0][0]).save(tmp_path / "img.png")
    before = (tmp_path / "img.png").read_bytes()
    done = script("predict.py", f"ckpt={tiny_run}", "image=img.png", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["img.png"]
    assert (tmp_path / "img.png").read_bytes() == before


def test_exported_model_cannot_be_explained(tmp_path: Path) -> None:
    cfg = composed("image=x.png", "explain=true", "save_images=cards", script="predict")
    with pytest.raises(
        InputError, match=r"^explain=true: needs gradients, which .*model\.onnx does not have"
    ):
        predict(cfg, [tmp_path / "model.onnx"])


def test_failed_download_is_reported_without_its_password(
    script: Script, tiny_run: Path, photos: Path
) -> None:
    url = "http://me:s3cret@127.0.0.1:9/x.png?key=t0ken"
    done = script("predict.py", f"ckpt={tiny_run}", f"image=[{url},{photos / '00_0.png'}]")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{photos / '00_0.png'}: ")
    reason = "cannot be reached: Connection refused; check the address and the connection"
    assert done.stderr == f"error: http://127.0.0.1:9/x.png: {reason}\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stdout_is_terminal", [False, True])
@pytest.mark.parametrize("stderr_is_terminal", [False, True])
@pytest.mark.parametrize("prints_answers", [False, True])
def test_progress_is_shown_where_it_mixes_with_nothing(
    monkeypatch: pytest.MonkeyPatch, stdout_is_terminal: bool, stderr_is_terminal: bool, prints_answers: bool
) -> None:
    monkeypatch.setattr("mobilenet_lab.inference.progress.DELAY_S", 0.0)
    monkeypatch.setattr("sys.stdout", Terminal() if stdout_is_terminal else io.StringIO())
    monkeypatch.setattr("sys.stderr", Terminal() if stderr_is_terminal else io.StringIO())
    predictions = [(f"{i}.png", Prediction("a", {"a": 1.0})) for i in range(30)]
    assert list(with_progress(predictions, 30, prints_answers)) == predictions
    shown = "/30 [" in sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert shown == (stderr_is_terminal and not (stdout_is_terminal and prints_answers))
    assert sys.stdout.getvalue() == ""  # type: ignore[attr-defined]


def test_short_work_shows_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Terminal())
    list(with_progress([("a.png", Prediction("a", {"a": 1.0}))], 1, prints_answers=False))
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
