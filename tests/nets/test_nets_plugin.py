from __future__ import annotations

import subprocess
import sys

import attrs
import pytest

import rwae_nets
from rwae_kit import RecipeError, Registry, Spec

EXPECTED = {
    "encoder": ["autoregressive", "bidirectional", "cdsvae", "factorised", "full"],
    "frame_encoder": ["conv", "dcgan", "mlp", "resblock", "tfgan"],
    "frame_decoder": ["conv", "dcgan", "mlp", "resblock", "tfgan"],
    "prior": ["gru", "linear", "lstm", "standard_normal", "transformer"],
    "static_prior": ["standard_normal"],
    "decoder": ["framewise", "lstm"],
    "reconstruction": ["bernoulli", "squared_error"],
}


def test_every_name_leads_to_a_component_of_its_kind_and_every_option_has_a_help():
    registry = Registry().with_plugin(rwae_nets, name="rwae_nets")
    for kind, names in EXPECTED.items():
        assert registry.names(kind) == names
        for name in names:
            options = attrs.fields(registry.get(kind, name).Config)
            assert all(option.metadata.get("help") for option in options), (kind, name)


def test_the_plugin_names_its_nets_without_importing_torch():
    code = "import sys, rwae_nets; rwae_nets.rwae_encoders(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("conv", "8 (the product of strides = [4, 2]). Choose other strides"),
        ("dcgan", "16 (each of the channels = [64, 128, 256, 512] halves them). Give fewer"),
        ("resblock", "32 (each of the channels = [64, 128, 256, 512, 1024] is a block that halves them). Give fewer"),
        ("tfgan", "32 (all but the first of the channels = [64, 128, 128, 128, 256, 256] halve them). Give fewer"),
    ],
)
def test_a_net_for_images_says_which_sizes_it_takes(name, advice):
    cls = Registry().with_plugin(rwae_nets, name="rwae_nets").get("frame_encoder", name)
    spec = Spec(frame=(3, 20, 20), value_range=(0.0, 1.0), static=2, dynamic=2)
    with pytest.raises(RecipeError) as caught:
        cls(cls.Config(), spec)
    assert str(caught.value) == (
        f"frame encoder '{name}': frames are (3, 20, 20), and height and width must be multiples of {advice}, or resize the frames"
    )
