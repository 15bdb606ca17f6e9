"""What every public method promises: shapes, supports, dtypes, errors, evaluation mode, seeds."""

import copy
import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from ancestral.checks.report import Broken, Property, always, needs, needs_any, require
from ancestral.checks.rows import WITHOUT_CONTEXT
from ancestral.checks.subject import Subject, all_outputs, calls, methods, outputs, same
from ancestral.interface import (
    Autoregressive,
    BoundedDensity,
    Categories,
    Classifier,
    Critic,
    Decoder,
    Encoder,
    ExactDensity,
    Features,
    InputError,
    MeanDecoder,
    Model,
    Sampler,
    Translator,
    seeded,
)

DENSITIES = (ExactDensity, BoundedDensity)


def shapes_and_supports(subject: Subject) -> None:
    for model in (subject.model, subject.precise):
        given = subject.inputs(model, 3)
        given = given._replace(x=given.x.to(model.dtype))
        for name, call in calls(model, *given).items():
            before = [None if part is None else part.clone() for part in given]
            with torch.no_grad():
                value = call(torch.Generator().manual_seed(subject.seed))
            for argument, part, copied in zip(given._fields, given, before, strict=True):
                require(
                    part is None or copied is None or torch.equal(part, copied),
                    f"{name} changes {argument}, which the caller still holds, in place: work on a clone, without"
                    " assignments and methods that end in _ on the input",
                )
            _has_shape_and_support(model, name, value, given.x)


def _has_shape_and_support(model: Model, name: str, value: Tensor, x: Tensor) -> None:
    n, event = len(x), tuple(x.shape)
    shapes = dict.fromkeys(("sample", "complete", "decode", "decode_mean"), event)
    shapes |= dict.fromkeys(("log_prob", "elbo", "log_prob_lower_bound", "criticise", "log_prior", "log_joint"), (n,))
    if isinstance(model, Classifier):
        shapes["class_log_probs"] = (n, model.classes)
    if isinstance(model, Autoregressive):
        shapes["conditional_log_probs"] = (n, len(model.orders), *model.event.shape)
    want = event if name.startswith("translate") else shapes.get(name)
    if want is None:
        require(value.dim() == 2 and len(value) == n, f"{name} must return ({n}, n), got {tuple(value.shape)}")
    else:
        require(tuple(value.shape) == want, f"{name} must return shape {want}, got {tuple(value.shape)}")
    require(
        bool(torch.isfinite(value).all()),
        f"{name} returned a value that is not finite for ordinary data: an overflow, or the logarithm of 0",
    )
    dtypes = {model.dtype}
    if want == event and isinstance(model.event.support, Categories):
        dtypes = {torch.int64, x.dtype} if name == "complete" else {torch.int64}
    elif want == event and model.standardization is not None:
        dtypes.add(torch.float64)  # where the model's own could not tell the data apart
    categories = torch.int64 in dtypes
    require(
        value.dtype in dtypes,
        f"{name} returned {value.dtype} values for {model.event.support}: categories are names, in int64; end with"
        " .long(), or draw by multinomial or argmax"
        if categories
        else f"{name} returned {value.dtype} from a model in {model.dtype}: convert constants and samples",
    )
    if want == event and name != "decode_mean":
        _in_support(model, value, name)


def latents_have_their_shapes(subject: Subject) -> None:
    model, n = subject.model, 3
    assert isinstance(model, Decoder)
    context = subject.contexts(n)
    z = subject.latents(model, n)
    require(
        tuple(z.shape) == (n, model.latent_size), f"latents must be ({n}, {model.latent_size}), got {tuple(z.shape)}"
    )
    require(torch.equal(model.join_latents(model.split_latents(z)), z), "join_latents must invert split_latents")
    found = {"decode": model.decode(z, context=context, generator=subject.generator())}
    if isinstance(model, MeanDecoder):
        found["decode_mean"] = model.decode_mean(z, context=context)
    want = (n, *model.event.shape)
    for name, value in found.items():
        require(tuple(value.shape) == want, f"{name} must return shape {want}, got {tuple(value.shape)}")
        require(bool(torch.isfinite(value).all()), f"{name} returned a value that is not finite")
    _in_support(model, found["decode"], "decode")
    for place, support in enumerate(model.event.supports if "decode_mean" in found else ()):
        mean, values = found["decode_mean"].flatten(1)[:, place], support.values
        low, high = float(mean.min()), float(mean.max())
        require(
            values is None or (low >= -1e-3 and high <= values - 1 + 1e-3),
            f"decode_mean reached [{low:.3f}, {high:.3f}], outside of the support {support}: it must be the expected"
            " observation in data units; a network's raw output needs its sigmoid or its scaling first",
        )


def encodings_have_their_shapes(subject: Subject) -> None:
    model, n = subject.model, 3
    assert isinstance(model, Encoder)
    distribution = model.encode(subject.observations(n), context=subject.contexts(n))
    require(
        tuple(distribution.batch_shape) == (n,) and len(distribution.event_shape) == 1,
        f"encode must return batch shape ({n},) and event shape (n,), got {tuple(distribution.batch_shape)} and"
        f" {tuple(distribution.event_shape)}; wrap factors in torch.distributions.Independent(..., 1)",
    )
    if isinstance(model, Decoder):
        require(
            distribution.event_shape[0] == model.latent_size,
            f"encode's latents have size {distribution.event_shape[0]}, decode's {model.latent_size}",
        )


def class_probabilities_sum_to_one(subject: Subject) -> None:
    model = subject.precise
    assert isinstance(model, Classifier)
    total = model.class_log_probs(subject.observations(8, torch.float64)).logsumexp(1)
    require(
        bool((total.abs() < 1e-5).all()),
        f"class probabilities sum to {float(total[total.abs().argmax()].exp()):.4f}: normalise with log_softmax",
    )


def domains_are_two(subject: Subject) -> None:
    """Two different names, of which each leads somewhere else; any other is refused."""
    model = subject.far
    assert isinstance(model, Translator)
    domains = tuple(model.domains)
    require(
        len(domains) == 2 and domains[0] != domains[1] and all(isinstance(name, str) and name for name in domains),
        f"domains must be two different names, got {domains}",
    )
    x = subject.observations(4, torch.float64)
    with torch.no_grad():
        first, second = (model.translate(x, to=name) for name in domains)
    require(
        not torch.equal(first, second),
        f"translate gives the same observations to {domains[0]!r} and to {domains[1]!r}: `to` is not looked at",
    )
    _refuses(lambda: model.translate(x, to=f"no {domains[0]}"), "translate accepts a domain that it does not know")


def storage_dtypes_are_equal(subject: Subject) -> None:
    if subject.event.values is None:
        x = subject.observations(4, torch.float64)
        other = x.to(subject.storage)
    else:
        other = subject.observations(4)
        x = other.to(torch.uint8)
    context = subject.contexts(4)
    first = all_outputs(subject.model, x, context, subject.seed)
    for name, value in all_outputs(subject.model, other, context, subject.seed).items():
        require(
            same(first[name], value),
            f"{name} gives different numbers for {x.dtype} and {other.dtype} data of the same values",
        )


def bad_input_is_refused(subject: Subject) -> None:
    model = subject.model
    good, context = subject.observations(4), subject.contexts(4)
    bad = {"NaN": good.clone(), "a value outside of the support": good.clone(), "a wrong shape": good[..., None]}
    bad["NaN"].view(-1)[0] = math.nan
    bad["a value outside of the support"].view(-1)[-1] = math.inf if model.event.densities else 2.5e3
    wrong_contexts: dict[str, Tensor | None] = {"a context but is unconditional": torch.zeros(4, 1).to(good)}
    if context is not None:
        wrong_contexts = {"no context but is conditional": None, "too few contexts": context[:3]}
    for name, method in methods(model).items():
        for what, x in bad.items():
            if what == "NaN" and model.accepts_missing and name in _OF_MISSING:
                continue
            _refuses(functools.partial(method, x, context, subject.generator()), f"{name} accepts {what}")
        if name.startswith(WITHOUT_CONTEXT):
            continue
        for what, wrong in wrong_contexts.items():
            _refuses(functools.partial(method, good, wrong, subject.generator()), f"{name} accepts {what}")
    if isinstance(model, Sampler):
        _refuses(lambda: model.sample(0, context=context), "sample accepts n = 0")
    if isinstance(model, Decoder):
        z = torch.zeros(4, model.latent_size + 1).to(good)
        _refuses(lambda: model.decode(z, context=context), "decode accepts latents of a wrong size")


def evaluation_mode(subject: Subject) -> None:
    model = copy.deepcopy(subject.model)
    given = subject.inputs(model, subject.rows(16))
    model.eval()
    expected = outputs(model, given, subject.seed)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train()
    for frozen in list(model.children())[:1]:
        frozen.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    found = outputs(model, given, subject.seed)
    for name, value in expected.items():
        require(
            same(found[name], value),
            f"{name} gives other numbers in training mode than in evaluation mode: batch norm or dropout leaks into it",
        )
    changed = [name for name, module in model.named_modules() if module.training != modes[name]]
    require(not changed, f"public methods changed the mode of {changed}: leave training and evaluation mode as found")
    moved = [name for name, buffer in model.named_buffers() if not torch.equal(buffer, buffers[name])]
    require(not moved, f"public methods changed the buffers {moved}: batch norm or a cache moves outside of training")


def seeds_decide(subject: Subject) -> None:
    model = subject.model
    given = subject.inputs(model, subject.rows(64))
    state = torch.get_rng_state()
    found = [outputs(model, given, seed) for seed in (subject.seed, subject.seed, subject.seed + 1)]
    for name, value in found[0].items():
        require(
            same(value, found[1][name]),
            f"{name} ignores its seed: the same generator seed gave two different results; draw with torch's generators"
            " (not Python's or numpy's) and keep no state between calls",
        )
    if isinstance(model, ExactDensity):
        require(
            same(found[0]["log_prob"], found[2]["log_prob"]),
            "log_prob is random: an exact density gives the same number every time",
        )
    if isinstance(model, Sampler):
        samples = found[0]["sample"]
        constant = not bool((samples != samples[:1]).any())
        # The rounded output of a random network (a GAN on discrete data) may well be one and the same.
        if not (constant and model.event.values is not None and not isinstance(model, DENSITIES)):
            require(
                not torch.equal(samples, found[2]["sample"]),
                "sample ignores its seed: different generator seeds gave the same observations",
            )
            require(not constant, "sample returns n copies of one observation: the rows must be independent draws")
    require(
        torch.equal(state, torch.get_rng_state()),
        "a call with a generator moved the global random state: draw from what the base seeds, and reseed nothing",
    )


def _in_support(model: Model, x: Tensor, name: str) -> None:
    try:
        model.event.check(x)
    except InputError as error:
        raise Broken(f"{name} leaves the support: {error}") from error


def _refuses(call: Callable[[], object], fault: str) -> None:
    try:
        with seeded(torch.Generator().manual_seed(0)):
            call()
    except InputError:
        return
    raise Broken(f"{fault}: raise InputError, as the base's public methods do")


#: What takes missing values where a model accepts them.
_OF_MISSING = ("log_prob", "encode", "elbo", "log_prob_lower_bound")
_SCORED = (ExactDensity, BoundedDensity, Encoder, Translator, Classifier, Critic, Features)

PROPERTIES = (
    Property("outputs have their shapes, dtypes and supports", always, shapes_and_supports),
    Property("the seed decides, and nothing else moves", always, seeds_decide),
    Property("latents have their shapes and decode into the support", needs(Decoder), latents_have_their_shapes),
    Property("encodings have their shapes", needs(Encoder), encodings_have_their_shapes),
    Property("class probabilities sum to 1", needs(Classifier), class_probabilities_sum_to_one),
    Property("the storage dtype of data makes no difference", needs_any(*_SCORED), storage_dtypes_are_equal),
    Property("bad input is refused", always, bad_input_is_refused),
    Property("public methods run in evaluation mode", always, evaluation_mode),
)

TRANSLATORS = (Property("a translator knows two domains", needs(Translator), domains_are_two),)
