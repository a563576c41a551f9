"""The installer of torch: what it accepts, what it asks pip for, and that CUDA never comes unasked."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "install_torch.py"
spec = importlib.util.spec_from_file_location("install_torch", SCRIPT)
install_torch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(install_torch)

PIN = install_torch.pinned_requirement(install_torch.CONSTRAINTS.read_text())
VERSION = PIN.removeprefix("torch==")


@pytest.fixture
def pip_calls(monkeypatch):
    """No torch, a CPU index that cannot be reached and a pip index with a build that needs no CUDA."""
    calls = []

    def pip(*arguments):
        calls.append(arguments)
        return 1 if install_torch.CPU_INDEX in arguments else 0

    monkeypatch.delenv("TORCH", raising=False)
    monkeypatch.setattr(install_torch, "pip", pip)
    monkeypatch.setattr(install_torch, "installed_version", lambda: None)
    monkeypatch.setattr(install_torch, "cuda_packages", lambda requirement: [])
    return calls


def test_the_pin_has_no_build_tag():
    assert VERSION and "+" not in VERSION


def test_an_unpinned_torch_is_refused():
    with pytest.raises(ValueError, match="torch==VERSION"):
        install_torch.pinned_requirement("torchvision==1\ntorch>=2\n")


@pytest.mark.parametrize(
    ("installed", "flavour", "enough"),
    [
        (VERSION, "cpu", True),
        (f"{VERSION}+cpu", "cpu", True),
        (f"{VERSION}+cu130", "cpu", True),
        (VERSION, "cuda", True),
        (f"{VERSION}+cpu", "cuda", False),
        (f"{VERSION}1", "cpu", False),
        ("1.0", "cpu", False),
    ],
)
def test_an_installed_build_of_the_pinned_version_is_kept(pip_calls, monkeypatch, installed, flavour, enough):
    monkeypatch.setenv("TORCH", flavour)
    monkeypatch.setattr(install_torch, "installed_version", lambda: installed)
    assert install_torch.main() == 0
    assert (pip_calls == []) is enough
    assert all("--force-reinstall" in call for call in pip_calls)


def test_the_cpu_index_is_tried_first_and_pips_own_index_after_it(pip_calls):
    assert install_torch.main() == 0
    first, second = pip_calls
    assert install_torch.CPU_INDEX in first
    assert second == ("install", "--no-deps", PIN)


def test_cuda_is_refused_unasked_and_installed_when_asked_for(pip_calls, monkeypatch, capsys):
    monkeypatch.setattr(install_torch, "cuda_packages", lambda requirement: ["nvidia-cudnn-cu13", "triton"])
    assert install_torch.main() == 1
    assert len(pip_calls) == 1  # the CPU index only
    message = capsys.readouterr().err
    assert "nvidia-cudnn-cu13, triton" in message
    assert "TORCH=cuda" in message

    pip_calls.clear()
    monkeypatch.setenv("TORCH", "cuda")
    assert install_torch.main() == 0
    assert pip_calls == [("install", "--no-deps", PIN)]


@pytest.mark.parametrize("name", ["nvidia-cublas", "cuda-toolkit", "triton"])
def test_cuda_packages_are_known_by_name(name):
    assert install_torch.CUDA_PACKAGE.match(name)


@pytest.mark.parametrize("name", ["numpy", "tritonclient", "sympy"])
def test_other_packages_are_not_taken_for_cuda(name):
    assert not install_torch.CUDA_PACKAGE.match(name)


def test_an_unknown_build_is_refused(pip_calls, monkeypatch, capsys):
    monkeypatch.setenv("TORCH", "rocm")
    assert install_torch.main() == 2
    assert "'rocm'" in capsys.readouterr().err
    assert pip_calls == []
