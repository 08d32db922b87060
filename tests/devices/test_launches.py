"""What the chains cost on a device, counted on a pretended one: kernels, copies, and where the host
would wait."""

import pytest
import torch

from semisupcon.augmentations import build_chain, wsola
from semisupcon.augmentations.plans import Plan, decides
from semisupcon.augmentations.severity import PARAMETRIC
from semisupcon.augmentations.transform import Transform
from semisupcon.random import make_keys
from tests.augmentations.every_transform import EVERY, SAMPLE_RATE
from tests.devices.pretended import Recorder, plain, standing_in, to_pretended, wrapped
from tests.devices.test_without_waiting import REFUSED

# Launches at the published batch sizes, and the most that are allowed. Version 0.1 needed 3,773,
# 5,769 and 43,467.
CHAINS = {
    "semisupcon": (lambda: build_chain(list(PARAMETRIC), 2, 22050), 96, 59535, 400),
    "clmr": (lambda: build_chain(["clmr"], 2, 22050), 48, 59049, 600),
    "mtslvr": (lambda: build_chain(["mtslvr"], 2, 16000), 100, 80000, 1500),
}
WAITS = {"compression": "runs on the CPU", "mp3": "runs on the CPU"}


@pytest.fixture(autouse=True)
def kernel(monkeypatch):
    """A walk that costs one launch and stays on time, in place of the kernel."""

    def on_time(mono, penalty, starts, hop, reach):
        return wrapped(plain(starts) + reach)

    monkeypatch.setattr(wsola, "_kernel", lambda *_: standing_in("walk", on_time))


def keys_of(clips: int) -> torch.Tensor:
    return make_keys(
        0, torch.zeros(clips, dtype=torch.int64), torch.arange(clips) * 7919 + 1, 2
    ).flatten()


def on_device(plan: Plan) -> Plan:
    return plan._with(to_pretended(plan.buffer))


@pytest.mark.parametrize("name", CHAINS)
def test_chains_launch_few_kernels_and_wait_for_none(name):
    make, clips, samples, most = CHAINS[name]
    chain, keys = make(), keys_of(clips)
    plan = on_device(chain.plan(keys, samples))
    audio = to_pretended(0.1 * torch.randn(2 * clips, 1, samples))
    with Recorder() as recorder:
        augmented, applied, parameters = chain.run(audio, plan)
    assert augmented.shape == audio.shape
    assert applied.device.type == parameters.device.type == "cuda"
    assert not recorder.syncs, recorder.syncs
    assert not recorder.mismatches, recorder.mismatches
    assert recorder.launches <= most, recorder.launches
    assert not [operator for operator in recorder.operators if operator.startswith(REFUSED)]


@pytest.mark.parametrize("name", EVERY)
def test_a_transform_does_not_wait(name):
    transform, keys = EVERY[name](0.7), keys_of(6)
    assert decides(transform)
    decision = transform.decide(keys, SAMPLE_RATE)
    plan = on_device(Plan(decision))
    with Recorder() as recorder:
        transform.perform(to_pretended(torch.randn(12, 1, SAMPLE_RATE)), plan.decisions.work)
    assert bool(recorder.syncs) == (name in WAITS), recorder.syncs
    assert not [operator for operator in recorder.operators if operator.startswith(REFUSED)]
    assert not recorder.mismatches, recorder.mismatches


def test_a_transform_of_ones_own_still_takes_keys_on_the_device():
    class Own(Transform):
        def modify(self, audio, key, among=None):
            assert key.device == audio.device
            return (
                audio * 2,
                torch.ones_like(key, dtype=torch.bool),
                torch.zeros(len(key), 0, device=audio.device),
            )

    chain = build_chain([Own(), "gain"], 2, 22050)
    plan = on_device(chain.plan(keys_of(3), 100))
    with Recorder():
        audio, applied, _ = chain.run(to_pretended(torch.ones(6, 1, 100)), plan)
    assert plain(applied)[:, 0].all()
    assert (plain(audio) >= 0.2).all()


def test_a_plan_is_one_buffer():
    chain = build_chain(["clmr"], 2, 22050)
    plan = chain.plan(keys_of(4), 22050)
    with Recorder() as recorder:
        to_pretended(plan.buffer)
    assert plan.buffer.dtype == torch.uint8
    assert not recorder.syncs
