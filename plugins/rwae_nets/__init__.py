"""Networks: frame nets, sequence encoders, priors, decoders and reconstruction costs. Names only: they import no torch."""

from __future__ import annotations

from collections.abc import Mapping

from rwae_kit import hookimpl


@hookimpl
def rwae_frame_encoders() -> Mapping[str, str]:
    """Frames to features."""
    return {
        "conv": "rwae_nets.conv:ConvFrameEncoder",
        "dcgan": "rwae_nets.dcgan:DcganFrameEncoder",
        "mlp": "rwae_nets.mlp:MlpFrameEncoder",
        "resblock": "rwae_nets.resblock:ResblockFrameEncoder",
        "tfgan": "rwae_nets.tfgan:TfganFrameEncoder",
    }


@hookimpl
def rwae_frame_decoders() -> Mapping[str, str]:
    """Features to frames."""
    return {
        "conv": "rwae_nets.conv:ConvFrameDecoder",
        "dcgan": "rwae_nets.dcgan:DcganFrameDecoder",
        "mlp": "rwae_nets.mlp:MlpFrameDecoder",
        "resblock": "rwae_nets.resblock:ResblockFrameDecoder",
        "tfgan": "rwae_nets.tfgan:TfganFrameDecoder",
    }


@hookimpl
def rwae_encoders() -> Mapping[str, str]:
    """Posteriors q(s, z_1:T | x_1:T)."""
    return {
        "autoregressive": "rwae_nets.encoders:AutoregressiveEncoder",
        "bidirectional": "rwae_nets.encoders:BidirectionalEncoder",
        "cdsvae": "rwae_nets.cdsvae:CdsvaeEncoder",
        "factorised": "rwae_nets.dsvae:FactorisedEncoder",
        "full": "rwae_nets.dsvae:FullEncoder",
    }


@hookimpl
def rwae_action_encoders() -> Mapping[str, str]:
    """Posteriors q(a | x_1:T, z_1:T)."""
    return {"lstm": "rwae_nets.actions:LstmActionEncoder"}


@hookimpl
def rwae_static_priors() -> Mapping[str, str]:
    """p(s)."""
    return {"standard_normal": "rwae_nets.priors:StandardNormal"}


@hookimpl
def rwae_priors() -> Mapping[str, str]:
    """p(z_t | z_<t)."""
    return {
        "gru": "rwae_nets.priors:GruPrior",
        "linear": "rwae_nets.simple_priors:LinearPrior",
        "lstm": "rwae_nets.priors:LstmPrior",
        "standard_normal": "rwae_nets.simple_priors:IndependentNormal",
        "transformer": "rwae_nets.transformer:TransformerPrior",
    }


@hookimpl
def rwae_decoders() -> Mapping[str, str]:
    """p(x_t | s, z)."""
    return {"framewise": "rwae_nets.decoders:FramewiseDecoder", "lstm": "rwae_nets.decoders:LstmDecoder"}


@hookimpl
def rwae_reconstructions() -> Mapping[str, str]:
    """c(x, G(z))."""
    return {"bernoulli": "rwae_nets.reconstructions:Bernoulli", "squared_error": "rwae_nets.reconstructions:SquaredError"}
