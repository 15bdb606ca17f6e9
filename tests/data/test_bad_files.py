"""Wrong and damaged files are refused with what was found, and nothing else ever escapes."""

import gzip
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import soundfile
from data_files import cifar_archive, idx, pixels, png, write_idx_set, write_image_folder

from ancestral.data import load_data
from ancestral.data.cifar import read_archive
from ancestral.interface import InputError


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def sound(samples: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.linspace(-0.5, 0.5, samples), 8000, format="WAV", subtype="PCM_16")
    return out.getvalue()


SOUND = sound(500)


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return out.getvalue()


def broken_in_the_middle(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(64) + content[middle + 64 :]


PICTURE = png(pixels(40, 40, 3))
ROWS = np.arange(60.0).reshape(20, 3)
TABLE = io.BytesIO()
pandas.DataFrame(ROWS, columns=list("abc")).to_parquet(TABLE)

BAD: list[tuple[str, bytes, str]] = [
    ("a.npy", b"", "is empty, so it is not the .npy file"),
    ("a.npy", b"height,width\n1,2\n", "begins with the bytes 68 65 69 67 68 74"),
    ("a.npy", pickle.dumps(ROWS), "begins with the bytes"),
    ("a.npy", npy(ROWS)[:-8], "damaged or incomplete"),
    ("a.npy", npy(ROWS).replace(b"(20", b"\xc420"), "damaged or incomplete"),
    ("a.npy", npy(np.array([{}, []], dtype=object)), "unpickled: that is never done"),
    ("a.npy", npy(np.array(["a", "b"])[:, None]), "values of type <U1; expected numbers"),
    ("a.npy", npy(ROWS.astype(complex)), "complex128"),
    ("a.npy", npy(np.arange(5)), r"shape \(5,\); expected observations in rows"),
    ("a.npy", npy(np.zeros((0, 3))), "no observations"),
    ("a.npy", npy(np.zeros((2, 3))), "at least 3"),
    ("a.npy", npy(np.zeros((20, 0))), "at least 1"),
    ("a.npy", npy(np.array(3.0)), "expected observations in rows"),
    ("a.npy", npy(-ROWS.astype(int)), "negative integers .the least is -59.*support=real"),
    ("a.npy", npy(ROWS.astype(int) * 10_000), "too many for levels; pass support=real"),
    ("a.npy", npy(np.full((20, 3), 2**63, np.uint64)), "beyond 64 bits"),
    ("a.npy", npy(np.full((20, 3), 1e300)), "beyond the range of float32"),
    ("a.npy", npy(np.where(ROWS == 4, np.inf, ROWS)), "1 infinite values"),
    ("a.npy", npy(np.where(ROWS == 4, np.nan, ROWS)), "1 missing values"),
    ("a.npz", npz(train=ROWS)[:200], "damaged or incomplete"),
    ("a.npz", broken_in_the_middle(npz(x=np.arange(2000.0).reshape(20, 100))), "damaged or incomplete"),
    ("a.npz", npz(a=ROWS, b=ROWS), "holds a, b; expected train"),
    ("a.npz", npz(), "holds nothing"),
    ("a.npz", npz(valid=ROWS, test=ROWS), "holds valid, test; expected train"),
    ("a.npz", npz(x=np.array([{}], dtype=object)), "never done"),
    ("a.npz", npz(x=ROWS, y=np.arange(19)), "20 rows in x but 19 labels in y"),
    ("a.npz", npz(x=ROWS, y=np.arange(20) - 2), r"\[y\] has -2 at row 0"),
    ("a.npz", npz(x=ROWS, y=np.arange(20) + 0.5), "must be integers 0, 1, ... or text"),
    ("a.npz", npz(x=ROWS, y=ROWS), r"one label for each row, \(n,\)"),
    ("a.npz", npz(train=ROWS, test=ROWS[:, :2]), r"one shape, found train \(3,\), test \(2,\)"),
    ("a.npz", npz(train=ROWS, test=ROWS[:0]), "the test split of a.npz has no observations"),
    ("a.npz", npz(train=ROWS, test=ROWS, train_labels=np.arange(20)), "has labels, but not in test"),
    ("a.csv", b"", "cannot be read as a csv table"),
    ("a.csv", b"a,b\n", "0 rows and 2 columns"),
    ("a.csv", b"a,b\n1,2\n1,2,3\n", "has 3 fields in line 3, but 2 names"),
    ("a.csv", b"a,b\n1,2\n\n1,'2\n'\n3\n", "has 1 fields in line 5, but 2 names"),
    ("a.csv", b"a,b\n1,\"2\n\n3\n", "has 2 fields in line 2|cannot be read as a csv table"),
    ("a.csv", b"a,b,a\n1,2,3\n", "more than one column named a"),
    ("a.csv", b"a\tb\n1,234\t5\n2,345\t6\n", "with a comma for decimals or for thousands; say which"),
    ("a.csv", b"a,born\n1,2020-01-31\n2,2021-02-28\n", "column born of .* holds dates, such as '2020-01-31'"),
    ("a.csv", b"a,b\n1,?\n" + b"".join(b"1,%d\n" % n for n in range(20)), "holds numbers, but '.' in row 0"),
    ("a.csv", b"a,b\n1,2\n1,2\n1,2\n", "no column varies"),
    ("a.tsv", b"a\tb\n1\n", "has 1 fields in line 2, but 2 names"),
    ("a.csv", b"\xff\xfe\x00\x81", "is no text in UTF-8 .*iconv -f UTF-16 -t UTF-8"),
    ("a.csv", b"a,b\ncaf\xe9,1\n", "is no text in UTF-8 .*iconv -f ISO-8859-1 -t UTF-8"),
    ("a.parquet", TABLE.getvalue()[:-20], "cannot be read as a parquet table"),
    ("a.parquet", b"PAR1", "cannot be read as a parquet table"),
    ("a.idx", b"\x00\x00", "has 2 bytes"),
    ("a.idx", b"\x00\x01\x08\x03" + bytes(40), "begins with the bytes 00 01 08 03; an IDX file begins with 00 00"),
    ("a.idx", struct.pack(">HBBI", 0, 8, 3, 5), "ends within its header"),
    ("a.idx", idx(pixels(20, 4, 5))[:-1], r"states the shape \(20, 4, 5\), which takes 416 bytes, but it has 415"),
    ("a.idx", idx(pixels(20, 4, 5)) + b"\x00", "has 417"),
    ("a-idx3-ubyte.gz", gzip.compress(idx(pixels(20, 4, 5)))[:-20], "damaged or incomplete"),
    ("a-idx3-ubyte.gz", broken_in_the_middle(gzip.compress(idx(pixels(20, 40, 5)))), "damaged or incomplete"),
    ("a.zip", b"", r"0 bytes\) is no zip archive"),
    ("a.zip", zipped(a__png=PICTURE)[:-30], "is no zip archive"),
    ("a.zip", zipped(a__png=PICTURE).replace(b"PK\x01\x02\x14\x03\x14", b"PK\x01\x02\x14\x03\xe2"), "version 22.6"),
    ("a.zip", zipped(), "is empty"),
    ("a.zip", zipped(a__md=b"hello"), "no images, WAV files or texts; the first of 1 files is a.md"),
    ("a.zip", broken_in_the_middle(zipped(a__png=bytes(range(256)) * 9)), "a.png in .* cannot be read"),
    ("a.zip", zipped(a__png=PICTURE, b__png=b""), r"b.png in .* \(0 bytes\) is no image"),
    ("a.zip", zipped(a__png=PICTURE, b__png=PICTURE[:300]), r"b.png in .* \(300 bytes\) is no image, or a damaged"),
    ("a.zip", zipped(a__png=broken_in_the_middle(PICTURE)), "a.png in .* is no image, or a damaged one"),
    ("a.zip", zipped(a__png=PICTURE, b__png=png(pixels(40, 40))), "b.png in .* is 40x40 L, but a.png is 40x40 RGB"),
    ("a.zip", zipped(a__wav=b"RIFF"), "a.wav in .* is no WAV file"),
    ("a.zip", zipped(a__wav=SOUND[:300]), "a.wav in .* is cut short: it says that it has 1044 bytes, and has 300"),
    ("a.txt", b"caf\xe9 au lait\n" * 9, "is no text in UTF-8"),
    ("a.txt", b"", "holds no text"),
    ("a.txt", b"one\ntwo\n", "at least 3"),
    ("a.txt.gz", gzip.compress(b"a line\n" * 99)[:-9], "damaged or incomplete"),
    ("a.docx", b"what is this", "of no known kind"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), BAD, ids=[f"{name}-{text[:30]}" for name, _, text in BAD])
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load_data(tmp_path / name)
    assert name in str(error.value) or "must be at least 1" in str(error.value)


def test_a_stray_file_beside_class_folders_is_named(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "set")
    (tmp_path / "set" / "train" / "stray.png").write_bytes(PICTURE)
    with pytest.raises(InputError, match=r"train/stray.png lies in none"):
        load_data(tmp_path / "set")


def test_an_incomplete_idx_folder_says_what_is_missing(tmp_path: Path) -> None:
    write_idx_set(tmp_path / "set")
    (tmp_path / "set" / "t10k-labels-idx1-ubyte").write_bytes(idx(pixels(19)))
    with pytest.raises(InputError, match="has 20 images but .* has 19 labels"):
        load_data(tmp_path / "set")
    (tmp_path / "set" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="no t10k-labels-idx1-ubyte"):
        load_data(tmp_path / "set")


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda path: load_data("mnits"), "no data set 'mnits' .did you mean 'mnist'"),
        (lambda path: load_data(""), "no data set ''"),
        (lambda path: load_data("nowhere/a.npy"), "no file or folder 'nowhere/a.npy'"),
        (lambda path: load_data(path), "is empty; expected"),
        (lambda path: load_data("digits", data_root=path / "no"), "not a folder"),
        (lambda path: load_data("digits", n=5), "digits has no option 'n'; its options are twin"),
        (lambda path: load_data("dna", data_root=path), "dna.npz is not there.*place uci/dna.npz under"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, load: Callable[[Path], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(tmp_path)


def test_the_wrong_label_column_suggests_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,kind\n" + "1.5,x\n" * 20)
    with pytest.raises(InputError, match="no column 'kinds' .did you mean 'kind'.*it has a, kind"):
        load_data(tmp_path / "a.csv", label="kinds")
    with pytest.raises(InputError, match="no option 'lable' .did you mean 'label'"):
        load_data(tmp_path / "a.csv", lable="kind")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"data_batch_3": b"short"}, "data_batch_3.bin in .* has 5 bytes, expected 4 records of 3073"),
        ({"test_batch": b"\x0a" + bytes(4 * 3073 - 1)}, "test_batch.bin in .* has the label 10 at record 0"),
    ],
)
def test_damaged_cifar_batches(tmp_path: Path, damage: dict[str, bytes], message: str) -> None:
    cifar_archive(tmp_path / "a.tar.gz", **damage)
    with pytest.raises(InputError, match=message):
        read_archive(tmp_path / "a.tar.gz", records=4)


def test_damaged_cifar_archives(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    cifar_archive(path)
    with pytest.raises(InputError, match="has the MD5 sum .*, expected c32a1d4ab5d03f1284b67883e8d87530"):
        load_data("cifar10", data_root=tmp_path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="no .tar.gz archive, or a damaged one"):
        read_archive(path, records=4)
