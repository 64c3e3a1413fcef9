"""Token evidence of several configurations as the log ratios that sequential tests are fed with. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import NumericsError
from harness.evidence.clustered import Estimate, Floats, positive_mean_interval
from harness.evidence.sequential.omnibus import place_bets, rank_tilts
from harness.evidence.sequential.ratios import TokenRatios
from harness.targets.sampler import Sampler
from harness.targets.token_evidence import CUTS, POWERS, TILTS, TokenEvidence, empty_evidence

Evidence = Mapping[str, Sequence[TokenEvidence]]

#: Members that name nothing: the reference tilted by rank, and bets on the places of tokens.
UNLISTED = (*(f"rank^{tilt:+g}" for tilt in TILTS), "places")
#: Powers of the warmer references that a fifth of a far member is mixed into: damage that nobody listed looks warm, and the
#: null holds warmer samplers, so that it is only told from them by what it has in common with other damage.
WARMER = (1 / 1.05, 1 / 1.1)
_PART_OF_WARM = 0.2
#: Hosts whose odds of ending a reply at each token are a multiple of the reference's.
LENGTHS = (
    ("ends 10 times as readily", 10.0),
    ("ends 4 times as readily", 4.0),
    ("ends twice as readily", 2.0),
    ("ends half as readily", 0.5),
    ("ends a quarter as readily", 0.25),
)
#: A token that a cut-off rules out; the bank's floor decides what that costs.
_RULED_OUT = -745.0
#: How much of the whole distribution a cut-off lets through as an honest host's setting; the one that was asked for leaks
#: less, because its edge is widened instead.
_LEAK = 1e-3
_CLAIMED_LEAK = 1e-6
_CUT_LEAK = 0.02


def warm_names(far: Sequence[str]) -> tuple[str, ...]:
    """Names of the warm mixtures of far members, in the order of their columns."""
    return tuple(f"{name} in part, at temperature {1 / power:.2f}" for name in far for power in WARMER)


def weight_ratios(
    evidence: Evidence,
    honest: Sequence[str],
    members: Sequence[str],
    lost: Sequence[int],
    seed: int,
    far: Sequence[str] = (),
    sampler: Sampler | None = None,
) -> TokenRatios:
    """Ratios of the weights process: whether the reply's audible tokens come from the reference or from a member.

    With a ``sampler`` that cuts off, both sides are cut: members where they themselves are cut, honest hosts wherever
    rounding may put the edge, each with a millionth of the whole distribution, which is at least as much as any of them
    gives. Members without a name are not cut and find less.

    The null is every honest configuration under every setting of the sampler, because identity is judged after it. Silent
    tokens carry factor 1 and end a reply. Behind the members stand those of ``UNLISTED`` and the warm mixtures of ``far``
    members; ``seed`` decides the randomised places of tokens that are equally likely.
    """
    said, request = _audible(evidence[honest[0]])
    centre = _joined(evidence, honest[0], said)
    own, cut = centre["logp"], bool(sampler and sampler.cut)
    base = _claimed(centre)
    settings = []
    for name in honest:
        rows = _joined(evidence, name, said)
        settings.append(_settings(rows, cut=cut) - base[:, None])
    ratios = [_barred(_joined(evidence, name, said)) - base for name in members]
    whole = (own - base)[:, None]
    ratios += list((rank_tilts(np.log(centre["rank"]), centre["tilted"], TILTS) + whole).T)
    ratios.append(place_bets(centre["above"], centre["tied"], seed) + whole[:, 0])
    for name in far:
        own_part = np.log(_PART_OF_WARM) + ratios[list(members).index(name)]
        for power in WARMER:
            warm = power * own - centre["normalisers"][:, POWERS.index(power)] - base
            ratios.append(np.logaddexp(np.log1p(-_PART_OF_WARM) + warm, own_part))
    return TokenRatios(
        requests=len(evidence[honest[0]]),
        request=request,
        members=np.stack(ratios, axis=1),
        honest=np.stack(settings, axis=2),
        lost=tuple(lost),
    )


def build_likelihoods(
    evidence: Evidence, honest: str, members: Sequence[str], floor: float, *, cut: bool = False
) -> Floats:
    """Log q_k - log p_0 per request and setting, ``[requests, settings, members]``; one token costs at most ln floor."""
    said, request = _audible(evidence[honest])
    own = _claimed(_joined(evidence, honest, said))
    ratios = TokenRatios(len(evidence[honest]), request, np.zeros((len(request), 0)), np.zeros((len(request), 1, 1)))
    found = np.zeros((ratios.requests, len(POWERS) * (2 if cut else 1) + len(CUTS), len(members)))
    for place, name in enumerate(members):
        lead = _settings(_joined(evidence, name, said), cut=cut) - own[:, None]
        found[:, :, place] = ratios.per_request(_mixed(lead, floor))
    return found


def sampler_names(sampler: Sampler) -> tuple[str, ...]:
    """Names of the columns of ``sampler_ratios``: other temperatures, cut-offs, and the claimed cut-off left out."""
    tempered = [f"temperature {_shown(sampler.temperature / power, sampler)}" for power in POWERS if power != 1.0]
    cuts = [f"{kind} {value}" for kind, value in CUTS]
    return (*tempered, *cuts, *(["no cut-off"] if sampler.cut else []))


def _shown(temperature: float, sampler: Sampler) -> str:
    """Two digits say enough around 1; names must not collide elsewhere."""
    return f"{temperature:.2f}" if sampler.temperature == 1.0 else f"{temperature:.4g}"


def sampler_ratios(
    evidence: Evidence, honest: Sequence[str], lost: Sequence[int], sampler: Sampler | None = None
) -> TokenRatios:
    """Ratios of the sampler process: whether tokens were drawn as asked for, at the claimed temperature and cut-off.

    Members are ``sampler_names`` on the reference; the null is every honest configuration under the claimed sampler. A model
    with other weights moves this process, too: it is read only where the weights stand.
    """
    said, request = _audible(evidence[honest[0]])
    centre = _joined(evidence, honest[0], said)
    asked = sampler or Sampler()
    own, base = centre["logp"], _claimed(centre)
    powers = np.array([power for power in POWERS if power != 1.0])
    kept = [place for place, power in enumerate(POWERS) if power != 1.0]
    tempered = powers * own[:, None] - centre["normalisers"][:, kept]
    columns = [tempered, own[:, None] + _cut(centre), *([own[:, None]] if asked.cut else [])]
    settings = [_granted(_joined(evidence, name, said))[:, POWERS.index(1.0)] - base for name in honest]
    return TokenRatios(
        requests=len(evidence[honest[0]]),
        request=request,
        members=np.concatenate(columns, axis=1) - base[:, None],
        honest=np.stack(settings, axis=1)[:, None, :],
        lost=tuple(lost),
    )


def setting_likelihoods(evidence: Evidence, honest: Sequence[str], sampler: Sampler, floor: float) -> Floats:
    """Log-likelihoods of ``sampler_names`` on each honest configuration over the reference's, ``[requests, honest, names]``.

    One token costs at most ln floor. Cut-offs let a fiftieth of the whole distribution through: rounding puts tokens on the
    other side of an edge, and such a token must not rule out what a host does.
    """
    said, request = _audible(evidence[honest[0]])
    base = _claimed(_joined(evidence, honest[0], said))
    ratios = TokenRatios(len(evidence[honest[0]]), request, np.zeros((len(request), 0)), np.zeros((len(request), 1, 1)))
    found = []
    for name in honest:
        rows = _joined(evidence, name, said)
        own = rows["logp"][:, None]
        kept = [place for place, power in enumerate(POWERS) if power != 1.0]
        tempered = np.array(POWERS)[kept] * own - rows["normalisers"][:, kept]
        whole = np.concatenate([tempered, *([own] if sampler.cut else [])], axis=1) - base[:, None]
        cut = _cut(rows) + own - base[:, None]
        whole, cut = _mixed(whole, floor), _mixed(cut, _CUT_LEAK)
        count = tempered.shape[1]
        found.append(ratios.per_request(np.concatenate([whole[:, :count], cut, whole[:, count:]], axis=1)))
    return np.stack(found, axis=1)


def length_ratios(
    evidence: Evidence, honest: Sequence[str], members: Sequence[str], lost: Sequence[int]
) -> TokenRatios:
    """Ratios of the length process: at each token whether to fall silent. With the weights process it is the whole ratio.

    Behind the members stand those of ``LENGTHS``.
    """
    rows = {name: np.concatenate([empty_evidence(0), *evidence[name]]) for name in {*honest, *members}}
    request = np.repeat(np.arange(len(evidence[honest[0]])), np.array([len(p) for p in evidence[honest[0]]], dtype=int))
    took = {name: _ends(part) for name, part in rows.items()}
    own = took[honest[0]]
    columns = [took[name] - own for name in members]
    columns += [_ends(rows[honest[0]], odds) - own for _, odds in LENGTHS]
    return TokenRatios(
        requests=len(evidence[honest[0]]),
        request=request,
        members=np.stack(columns, axis=1),
        honest=np.stack([took[name] - own for name in honest], axis=1)[:, None, :],
        lost=tuple(lost),
    )


def length_likelihoods(evidence: Evidence, honest: Sequence[str]) -> Floats:
    """Log-likelihoods of ``LENGTHS`` on each honest configuration over the reference's, ``[requests, honest, lengths]``."""
    rows = {name: np.concatenate([empty_evidence(0), *evidence[name]]) for name in honest}
    request = np.repeat(np.arange(len(evidence[honest[0]])), np.array([len(p) for p in evidence[honest[0]]], dtype=int))
    own = _ends(rows[honest[0]])
    ratios = TokenRatios(len(evidence[honest[0]]), request, np.zeros((len(request), 0)), np.zeros((len(request), 1, 1)))
    found = [np.stack([_ends(rows[name], odds) - own for _, odds in LENGTHS], axis=1) for name in honest]
    return np.stack([ratios.per_request(one) for one in found], axis=1)


def _ends(rows: TokenEvidence, odds: float = 1.0) -> Floats:
    """Log-probability of ending or going on, as it came, where the odds of ending are a multiple of the model's."""
    whole = np.logaddexp(rows["log_audible"], np.log(odds) + rows["log_silent"])
    took = np.where(rows["silent"].astype(bool), np.log(odds) + rows["log_silent"], rows["log_audible"])
    return took - (whole if odds != 1.0 else 0.0)  # type: ignore[no-any-return]


def divergences(evidence: Evidence, members: Sequence[str], honest: str) -> dict[str, float]:
    """Mean KL(member || reference) per audible token, over the whole vocabulary, on the contexts that the host made."""
    said, _ = _audible(evidence[honest])
    return {name: float(_joined(evidence, name, said)["kl_cand_ref"].mean()) if said.any() else 0.0 for name in members}


def divergence_interval(evidence: Evidence, member: str, honest: str) -> Estimate:
    """KL(member || reference) in nats per audible token over the whole vocabulary, with its interval over replies."""
    said, request = _audible(evidence[honest])
    return positive_mean_interval(_joined(evidence, member, said)["kl_cand_ref"], request)


def repeated_replies(evidence: Evidence, honest: str, chance: float) -> int:
    """How many replies are, token by token, an earlier reply to another question, where that is all but impossible.

    For each earlier reply, known when a question goes out, the reference gives it again with probability p; a repetition
    counts if p is at most ``chance`` over the number of pairs, so that an honest host shows one with probability at most
    ``chance``. Short answers may repeat.
    """
    seen: set[bytes] = set()
    pairs = max(len(evidence[honest]) * (len(evidence[honest]) - 1) / 2, 1.0)
    found = 0
    for rows in evidence[honest]:
        said = rows[rows["silent"] == 0]
        text = said["label"].tobytes()
        rare = float((_barred(said) + said["log_audible"]).sum()) <= np.log(chance / pairs)
        found += bool(rare and text in seen)
        seen.add(text)
    return found


def clipped_gains(evidence: Evidence, member: str, honest: str, clip: int) -> tuple[Floats, Floats, Floats]:
    """Log ratios of a member clipped at the bound ``CLIPS[clip]``, the logs of their means under the reference, and ratios."""
    said, _ = _audible(evidence[honest])
    rows = _joined(evidence, member, said)
    return rows["logp"] - _joined(evidence, honest, said)["logp"], rows["clipped"][:, clip], rows["kl_cand_ref"]


def _mixed(lead: Floats, floor: float) -> Floats:
    """Log ratios of a mixture with a little of the reference."""
    return np.logaddexp(np.log1p(-floor) + lead, np.log(floor))  # type: ignore[no-any-return]


def _barred(rows: TokenEvidence) -> Floats:
    """Log-probabilities after the cut-off that was asked for; all but nothing where it rules the token out."""
    return rows["logp"] + np.where(np.isfinite(rows["claimed"]), rows["claimed"], _RULED_OUT)  # type: ignore[no-any-return]


def _claimed(rows: TokenEvidence) -> Floats:
    """Log-probabilities of the reference after the cut-off, a distribution over all tokens: what ratios are taken to."""
    if not rows["claimed"].any():
        return rows["logp"]  # type: ignore[no-any-return]
    mixed = np.logaddexp(_barred(rows), rows["logp"] + np.log(_CLAIMED_LEAK))
    return mixed - np.log1p(_CLAIMED_LEAK)  # type: ignore[no-any-return]


def _granted(rows: TokenEvidence) -> Floats:
    """Log of the most that an honest host gives a token after the cut-off, per power, ``[tokens, powers]``."""
    tempered = np.array(POWERS) * rows["logp"][:, None] - rows["normalisers"]
    if not rows["granted"].any():
        return tempered  # type: ignore[no-any-return]
    widest = np.where(np.isfinite(rows["granted"]), rows["granted"], _RULED_OUT)
    return tempered + np.logaddexp(widest, np.log(_CLAIMED_LEAK))  # type: ignore[no-any-return]


def _settings(rows: TokenEvidence, *, cut: bool) -> Floats:
    """Log-probabilities under every setting of the sampler, temperatures first, ``[tokens, settings]``.

    With ``cut`` also those of every temperature under the cut-off that was asked for.
    Cut-offs leak a little of the whole distribution on top: a token at the edge, which rounding puts on the other side, must
    not take an honest setting out of the null. That only raises what honest hosts are granted.
    """
    own = rows["logp"][:, None]
    tempered = np.array(POWERS) * own - rows["normalisers"]
    found = [tempered, own + np.logaddexp(_cut(rows), np.log(_LEAK)), *([_granted(rows)] if cut else [])]
    return np.concatenate(found, axis=1)


def _cut(rows: TokenEvidence) -> Floats:
    """Log ratio of each cut-off to the whole distribution; ruled out where it keeps the token out."""
    kept = rows["kept"]
    if np.isnan(kept).any():
        raise NumericsError("a cut-off was not measured", fix="score the replies again")
    return np.where(np.isfinite(kept), -kept, _RULED_OUT)


def _audible(replies: Sequence[TokenEvidence]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which tokens of all replies count, and the request of each that does."""
    request = np.repeat(np.arange(len(replies)), [len(part) for part in replies])
    said = ~np.concatenate([part["silent"].astype(bool) for part in replies]) if len(replies) else np.zeros(0, bool)
    return said, request[said]


def _joined(evidence: Evidence, name: str, said: NDArray[np.bool_]) -> TokenEvidence:
    rows = np.concatenate([empty_evidence(0), *evidence[name]])
    if len(rows) != len(said):
        raise NumericsError(
            "configurations hold different numbers of tokens", where=name, fix="score all of them again"
        )
    joined: TokenEvidence = rows[said]
    return joined
