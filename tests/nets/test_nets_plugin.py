from __future__ import annotations

import subprocess
import sys

import attrs

import rwae_nets
from rwae_kit import Registry

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
