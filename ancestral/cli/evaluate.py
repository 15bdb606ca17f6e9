"""`ancestral evaluate`: how well a run describes held-out data, how near its samples come to them, and how well it
classifies."""

from argparse import ArgumentParser
from collections.abc import Sequence

from ancestral.cli.parsing import add_signature, keywords, parse, whole_number
from ancestral.cli.runs import chosen_split, is_whole, open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.evaluation import amortization_gap, evaluate, latent_information, measures, why_no_error_rate
from ancestral.interface import InputError, Translator

#: What is not a flag.
_OWN = ("model", "data")
_FEW = "samples are judged by training rows where there are too few test rows"


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    add_run_flags(parser, split=f"train, valid or test, of data that have splits (default: test; {_FEW})")
    add_signature(parser, evaluate, "likelihood", skip=_OWN)
    parser.add_argument(
        "--samples",
        type=whole_number,
        help="also judge so many samples; a model without a density is judged by 1,000 anyhow",
    )
    parser.add_argument(
        "--features",
        help="what to compare samples by: classifier (of the labels; the default for labelled images), pca, or"
        " inception:FILE with weights in .safetensors or .npz",
    )
    parser.add_argument(
        "--amortization-gap",
        action="store_true",
        help="also how much the ELBO would rise if each row had the best q of its own, not the encoder's",
    )
    parser.add_argument(
        "--kl",
        action="store_true",
        help="also how many nats the latents hold, KL(q(z|x) || p(z)), and what share of the ELBO that is",
    )
    args = parse(parser, words)
    trained = open_run(args.run, device=args.device)
    data = trained.named(args.data, args.split, args.data_root, options)
    split = chosen_split(data, args.split or "test")
    settings = keywords(parser, words, evaluate, skip=_OWN)
    results = measures(trained.model, data, args.split, samples=args.samples, features=args.features, **settings)
    if not results:
        reason = why_no_error_rate(trained.model, split)
        if isinstance(trained.model, Translator):
            reason = f"{data.name} does not know which rows of its domains are pairs"
        raise InputError(f"{args.run} has no likelihood, no samples and no error rate to measure: {reason}")
    lines: list[tuple[str, object]] = list(results)
    if args.kl:
        how = {key: settings[key] for key in ("limit", "seed", "progress") if key in settings}
        lines.append((args.split or "test", latent_information(trained.model, split, **how)))
    if args.amortization_gap:
        how = {key: settings[key] for key in ("limit", "seed", "progress") if key in settings}
        lines.append((args.split or "test", amortization_gap(trained.model, split, **how)))
    for name, result in lines:
        for line in str(result).splitlines():
            print(f"{trained.model.registered_name} on {data.name}{'' if is_whole(data) else f' {name}'}: {line}")
