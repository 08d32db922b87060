"""The kernel of WSOLA, run by Triton's interpreter on the CPU, against the search that runs there;
and batched resampling."""

import subprocess
import sys

import pytest
import torch

from semisupcon.augmentations import wsola
from semisupcon.augmentations.chirp import change_rates
from semisupcon.augmentations.fourier import change_rate, resampling_sizes
from semisupcon.augmentations.pitch import shift_on_device, shift_pitch, shift_plan

pytest.importorskip("triton")
INTERPRETED = """
import os
os.environ["TRITON_INTERPRET"] = "1"
import torch
from semisupcon.augmentations import wsola_kernel as kernel
for hop, reach in ((64, 64), (64, 32), (16, 16), (16, 8)):
    assert kernel.works(torch.device("cpu"), hop, reach), (hop, reach)
kernel.works.cache_clear()
kernel.walk, right = lambda *given: right(*given) + 1, kernel.walk
assert not kernel.works(torch.device("cpu"), 16, 16)
print("done")
"""


def test_chooses_the_best_pieces_and_is_not_used_when_it_does_not():
    ended = subprocess.run(
        [sys.executable, "-c", INTERPRETED], capture_output=True, text=True, check=False
    )
    assert ended.stdout.strip() == "done", ended.stderr[-2000:]
    assert "gives wrong results on cpu" in ended.stderr


def test_the_search_on_the_cpu_chooses_the_best_pieces():
    from semisupcon.augmentations.wsola_kernel import best

    torch.manual_seed(0)
    hop, reach, hops = 64, 32, 12
    mono, nominal = torch.randn(3, (hops + 6) * hop), (torch.arange(hops) * hop)[None].repeat(3, 1)
    places = wsola._similar_places(mono, nominal, hop, reach)
    row, pieces = torch.arange(3)[:, None], mono.unfold(-1, hop, 1)
    typical = pieces[row, nominal + reach].square().sum((1, 2))[:, None]
    late = torch.linspace(-1, 1, 2 * reach + 1)[1:].square() * (reach / hop) ** 2
    penalty = wsola.PUNCTUALITY / hops * typical * late
    assert best(mono, penalty, nominal, places, hop, reach)
    places[1, 5] += 1
    assert not best(mono, penalty, nominal, places, hop, reach)


def test_energies_by_doubling():
    x = torch.randn(3, 50)
    torch.testing.assert_close(wsola._energies(x, 8), x.unfold(-1, 8, 1).square().sum(-1))


@pytest.mark.parametrize("samples", [100, 3000, 20000])
def test_rates_of_all_rows_at_once(samples):
    x, ratios = torch.randn(6, 2, samples), [0.7, 0.93, 1.0001, 1.2, 0.93, 1.49]
    sizes = [resampling_sizes(samples + min(samples, 64), ratio) for ratio in ratios]
    distinct = sorted(set(sizes))
    n, m = torch.tensor(distinct).unbind(1)
    which = torch.tensor([distinct.index(pair) for pair in sizes])
    together = change_rates(x, n, m, which, int(m.max()), int(torch.minimum(n, m).max()) // 2 + 1)
    for row, ratio in enumerate(ratios):
        alone, _ = change_rate(x[row : row + 1], ratio)
        torch.testing.assert_close(
            together[row, :, : alone.shape[-1]], alone[0], rtol=1e-4, atol=1e-5
        )
        assert not together[row, :, alone.shape[-1] :].any()


def test_rows_that_do_not_fit_at_once(monkeypatch):
    x, plan = torch.randn(5, 1, 4000), shift_plan([0.8, 1.1, 1.1, 0.9, 1.3], 4000)
    given = (*plan["sizes"], plan["which"], plan["longest"], plan["bins"])
    whole = change_rates(x, *given)
    monkeypatch.setattr("semisupcon.augmentations.chirp.ELEMENTS", 30000)
    torch.testing.assert_close(change_rates(x, *given), whole, rtol=1e-5, atol=1e-6)


def test_the_way_of_a_device_shifts_as_the_cpu_does():
    t = torch.arange(16000) / 16000
    x = torch.sin(2 * torch.pi * torch.tensor([220.0, 440, 330])[:, None] * t)[:, None] * torch.exp(
        -2 * t
    )
    ratios = [0.75, 1.2, 1.5]
    expected = shift_pitch(x, ratios, 16000)
    there = shift_on_device(x, 16000, **shift_plan(ratios, 16000))
    for row in range(3):
        spectra = [torch.fft.rfft(y[row, 0]).abs() for y in (expected, there)]
        assert spectra[0].argmax() == spectra[1].argmax()
        assert (spectra[0] - spectra[1]).norm() < 0.02 * spectra[0].norm()
