import pytest

from mobilenet_lab.cli.path_arguments import refuse_repeated_paths, suggest_path_key
from mobilenet_lab.runtime.errors import InputError


@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        ("predict", ["a.png"], "image=a.png"),
        ("predict", ["photo (1).jpg", "format=json"], "'image=photo (1).jpg'"),
        ("predict", ["a.png", "b.png", "ckpt=x"], "'image=[a.png,b.png]'"),
        ("predict", list("abcd"), "'image=[a,b,c,...]'"),
        ("predict", ["runs/x.ckpt", "a.png"], "ckpt=runs/x.ckpt"),
        ("evaluate", ["x.ckpt"], "ckpt=x.ckpt"),
        ("train", ["x.ckpt"], "resume=x.ckpt"),
        ("train", ["a.png"], None),
    ],
)
def test_path_without_a_key_suggests_it(script: str, arguments: list[str], expected: str | None) -> None:
    assert suggest_path_key(arguments[0], arguments, script) == expected


def test_repeated_image_is_refused_with_the_list() -> None:
    refuse_repeated_paths(["image=a", "ckpt=b", "format=json", "format=csv"])
    with pytest.raises(InputError, match=r"^image: is given 2 times; use 'image=\[a.png,b c.png\]'$"):
        refuse_repeated_paths(["image=a.png", "image=b c.png"])
    with pytest.raises(InputError, match=r"^ckpt: is given 2 times; use 'ckpt=\[a,b,c\]'$"):
        refuse_repeated_paths(["ckpt=[a,b]", "ckpt=c"])


def test_suggestion_has_no_passwords() -> None:
    with pytest.raises(InputError) as refused:
        refuse_repeated_paths(["image=https://me:s3cret@host/a.png", "image=b.png"])
    assert "s3cret" not in str(refused.value)
    assert "https://host/a.png,b.png" in str(refused.value)
