"""Invertible maps with tractable log-determinants, from which normalizing flows are built."""

from ancestral.bijections.actnorm import ActNorm
from ancestral.bijections.autoregressive import MaskedAutoregressive
from ancestral.bijections.bijection import Bijection
from ancestral.bijections.chain import Chain
from ancestral.bijections.coupling import AffineCoupling, AlternatingCouplings, CheckerboardCoupling
from ancestral.bijections.inverse import Inverse
from ancestral.bijections.multiscale import FactorOut, Flatten
from ancestral.bijections.permutation import Permutation
from ancestral.bijections.planar import PlanarFlows
from ancestral.bijections.radial import RadialFlows
from ancestral.bijections.squeeze import Squeeze

__all__ = [
    "ActNorm",
    "AffineCoupling",
    "AlternatingCouplings",
    "Bijection",
    "Chain",
    "CheckerboardCoupling",
    "FactorOut",
    "Flatten",
    "Inverse",
    "MaskedAutoregressive",
    "Permutation",
    "PlanarFlows",
    "RadialFlows",
    "Squeeze",
]
