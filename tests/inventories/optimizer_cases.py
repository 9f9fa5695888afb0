"""The optimizers and schedulers whose movements are measured: a name -> the arguments a user would give.

LRs are the measurement's: movements.BASE_LR and half of it, or 1 and 0.5 for ``lr_of``'s.
"""

from __future__ import annotations

STEPS = 16
FIXED = ["relative_step=False", "scale_parameter=False", "warmup_init=False"]
_MOMENTUM = "momentum=0.9"

Cases = dict[str, list[str]]


def _optimizer(path: str, *given: str) -> list[str]:
    return [f"--optimizer_type={path}", *(["--optimizer_args", *given] if given else [])]


def _plain(names: str, package: str = "") -> Cases:
    return {f"{package}{name}": _optimizer(f"{package}{name}") for name in names.split()}


def _scheduler(name: str, *given: str, **options: object) -> list[str]:
    kind = "lr_scheduler_type" if name[0].isupper() or "." in name else "lr_scheduler"
    flags = [f"--{key}={value}" for key, value in options.items()]
    return [f"--{kind}={name}", *flags, *(["--lr_scheduler_args", *given] if given else [])]


ADAFACTORS: Cases = {
    "Adafactor": _optimizer("Adafactor"),
    "Adafactor, relative_step=False": _optimizer("Adafactor", "relative_step=False"),
    "Adafactor, fixed": _optimizer("Adafactor", *FIXED),
    "transformers.Adafactor": _optimizer("transformers.Adafactor"),
    "transformers.Adafactor, fixed": _optimizer("transformers.optimization.Adafactor", *FIXED),
}
OWN: Cases = {
    **_plain("AdamW AdamW8bit PagedAdamW PagedAdamW8bit PagedAdamW32bit Lion Lion8bit PagedLion8bit SGDNesterov"),
    **_plain("SGDNesterov8bit"),
    **ADAFACTORS,
    **_plain("AdamWScheduleFree RAdamScheduleFree SGDScheduleFree"),
    **_plain("Prodigy DAdaptation DAdaptAdamPreprint DAdaptAdaGrad DAdaptAdam DAdaptAdan DAdaptAdanIP DAdaptLion"),
    **_plain("DAdaptSGD"),
}
"""What sd-scripts knows by itself."""
_PLUS = "prodigyplus.ProdigyPlusScheduleFree"
OTHERS: Cases = {
    **_plain("AdamW Lion SGD", "lr_grid.optim."),
    **_plain("lion_pytorch.Lion prodigyopt.Prodigy came_pytorch.CAME"),
    _PLUS: _optimizer(_PLUS),
    f"{_PLUS}, split_groups=False": _optimizer(_PLUS, "split_groups=False"),
    f"{_PLUS}, split_groups_mean=False": _optimizer(_PLUS, "split_groups_mean=False"),
    **_plain("DAdaptAdam DAdaptAdaGrad", "dadaptation."),
    **_plain("AdamWScheduleFree RAdamScheduleFree SGDScheduleFree", "schedulefree."),
    **_plain("AdamWScheduleFreeReference AdamWScheduleFreeClosure", "schedulefree."),
}
TORCH: Cases = {
    **_plain("ASGD Adadelta Adagrad Adam Adamax LBFGS Muon NAdam RAdam RMSprop Rprop SGD SparseAdam"),
    "torch.optim.Adafactor": _optimizer("torch.optim.Adafactor"),
}
_BNB = "bitsandbytes.optim."
BITSANDBYTES: Cases = {
    **_plain("Adam Adam8bit Adam32bit PagedAdam PagedAdam8bit PagedAdam32bit AdamW AdamW8bit AdamW32bit", _BNB),
    **_plain("PagedAdamW AdEMAMix AdEMAMix8bit PagedAdEMAMix PagedAdEMAMix8bit Lion Lion8bit Lion32bit", _BNB),
    **_plain("PagedLion LAMB LAMB8bit RMSprop RMSprop8bit Adagrad Adagrad8bit", _BNB),
    **{f"{_BNB}{name}": _optimizer(f"{_BNB}{name}", _MOMENTUM) for name in ("SGD", "SGD8bit")},
}
_PO = "pytorch_optimizer."
PYTORCH_OPTIMIZER: Cases = {
    **_plain("A2Grad ADOPT APOLLO ASGD AccSGD AdEMAMix AdaBelief AdaBound AdaDelta AdaFactor AdaGC AdaHessian", _PO),
    **_plain("AdaLOMO AdaMax AdaMod AdaNorm AdaPNM AdaSmooth AdaTAM Adai Adalite Adam AdamC AdamG AdamMini AdamP", _PO),
    **_plain("AdamS AdamW AdamWSN Adan AggMo Aida AliG Amos Ano ApolloDQN AvaGrad BCOS CAME Conda DAdaptAdaGrad", _PO),
    **_plain("DAdaptAdam DAdaptAdan DAdaptLion DAdaptSGD DeMo DiffGrad EXAdam EmoFact EmoLynx EmoNavi EmoNeco", _PO),
    **_plain("EmoZeal FAdam FOCUS FTRL Fira Fromage GaLore Grams Gravity GrokFastAdamW Kate Kron LARS LBFGS", _PO),
    **_plain("LOMO LaProp Lamb Lion MADGRAD MARS MSVAG Muon NAdam Nero NovoGrad PAdam PID PNM Prodigy", _PO),
    **_plain("QHM RACS RAdam RMSprop Ranger25 SAM SCION SCIONLight SGD SGDP SGDSaI SGDW SM3 SOAP SPAM SPlus", _PO),
    **_plain("SRMM SWATS ScalableShampoo ScheduleFreeAdamW ScheduleFreeSGD Shampoo SignSGD SimplifiedAdEMAMix", _PO),
    **_plain("SophiaH StableAdamW StableSPAM TAM Tiger VSGD Yogi", _PO),
    f"{_PO}AdaFactor, fixed": _optimizer(f"{_PO}AdaFactor", *FIXED),
    f"{_PO}Ranger21": _optimizer(f"{_PO}Ranger21", f"num_iterations={STEPS}"),
}
MUSUBI: Cases = {
    **_plain("AdamW AdamW8bit"),
    **ADAFACTORS,
    **_plain("AdamW Lion SGD", "lr_grid.optim."),
    **_plain("Adam NAdam SGD lion_pytorch.Lion prodigyopt.Prodigy came_pytorch.CAME"),
    **_plain("schedulefree.AdamWScheduleFree dadaptation.DAdaptAdam dadaptation.DAdaptAdaGrad"),
    _PLUS: _optimizer(_PLUS),
    **_plain("PagedAdamW8bit AdEMAMix8bit Lion8bit", _BNB),
    **_plain("Prodigy AdaFactor AdEMAMix", _PO),
}

WARM = {"lr_warmup_steps": 4}
SCHEDULERS: Cases = {
    "constant": _scheduler("constant"),
    "constant_with_warmup": _scheduler("constant_with_warmup", **WARM),
    "linear": _scheduler("linear", **WARM),
    "cosine": _scheduler("cosine", **WARM),
    "cosine_with_restarts": _scheduler("cosine_with_restarts", **WARM, lr_scheduler_num_cycles=2),
    "polynomial": _scheduler("polynomial", **WARM, lr_scheduler_power=2),
    "polynomial, lr_end=2e-4": _scheduler("polynomial", "lr_end=2e-4"),
    "polynomial, lr_end=2": _scheduler("polynomial", "lr_end=2"),
    "inverse_sqrt": _scheduler("inverse_sqrt", **WARM),
    "cosine_with_min_lr": _scheduler("cosine_with_min_lr", **WARM, lr_scheduler_min_lr_ratio=0.1),
    "cosine_with_min_lr, min_lr=1e-4": _scheduler("cosine_with_min_lr", "min_lr=1e-4"),
    "cosine_with_min_lr, no floor": _scheduler("cosine_with_min_lr"),
    "cosine_warmup_with_min_lr": _scheduler("cosine_warmup_with_min_lr", **WARM, lr_scheduler_min_lr_ratio=0.1),
    "warmup_stable_decay": _scheduler("warmup_stable_decay", **WARM, lr_decay_steps=4),
    "piecewise_constant": _scheduler("piecewise_constant", "step_rules='1:4,0.1:8,0.01'"),
    "reduce_lr_on_plateau": _scheduler("reduce_lr_on_plateau"),
    "adafactor:1e-3": _scheduler("adafactor:1e-3"),
    "rex": _scheduler("rex"),
    "rex, warm-up": _scheduler("rex", **WARM),
    "OneCycleLR": _scheduler("OneCycleLR", "max_lr=1e-3", "total_steps=17", "cycle_momentum=False"),
    "OneCycleLR, list": _scheduler("OneCycleLR", "max_lr=[1e-3,5e-4]", "total_steps=17", "cycle_momentum=False"),
    "OneCycleLR, equal list": _scheduler("OneCycleLR", "max_lr=[1e-3,1e-3]", "total_steps=17", "cycle_momentum=False"),
    "CyclicLR": _scheduler("CyclicLR", "base_lr=1e-5", "max_lr=1e-3", "step_size_up=4", "cycle_momentum=False"),
    "CyclicLR, lists": _scheduler(
        "CyclicLR", "base_lr=[1e-4,5e-5]", "max_lr=[1e-3,5e-4]", "step_size_up=4", "cycle_momentum=False"
    ),
    "CosineAnnealingLR": _scheduler("CosineAnnealingLR", f"T_max={STEPS}"),
    "CosineAnnealingLR, eta_min=1e-4": _scheduler("CosineAnnealingLR", f"T_max={STEPS}", "eta_min=1e-4"),
    "CosineAnnealingLR, eta_min=3e-4": _scheduler("CosineAnnealingLR", f"T_max={STEPS}", "eta_min=3e-4"),
    "CosineAnnealingWarmRestarts": _scheduler("CosineAnnealingWarmRestarts", "T_0=8"),
    "CosineAnnealingWarmRestarts, eta_min=1e-4": _scheduler("CosineAnnealingWarmRestarts", "T_0=8", "eta_min=1e-4"),
    "StepLR": _scheduler("StepLR", "step_size=4"),
    "MultiStepLR": _scheduler("MultiStepLR", "milestones=[4,8]"),
    "ExponentialLR": _scheduler("ExponentialLR", "gamma=0.9"),
    "LinearLR": _scheduler("LinearLR"),
    "ConstantLR": _scheduler("ConstantLR"),
    "PolynomialLR": _scheduler("PolynomialLR", f"total_iters={STEPS}"),
    "ReduceLROnPlateau": _scheduler("ReduceLROnPlateau"),
    "LambdaLR": _scheduler("LambdaLR", "lr_lambda=1"),
    "SequentialLR": _scheduler("SequentialLR", "schedulers=[]", "milestones=[1]"),
    "SWALR": _scheduler("torch.optim.swa_utils.SWALR", "swa_lr=1e-4", "anneal_epochs=4"),
    "SWALR, list": _scheduler("torch.optim.swa_utils.SWALR", "swa_lr=[1e-4,5e-5]", "anneal_epochs=4"),
    "transformers.get_cosine_schedule_with_warmup": _scheduler(
        "transformers.get_cosine_schedule_with_warmup", "num_warmup_steps=2", f"num_training_steps={STEPS}"
    ),
    "diffusers.optimization.get_constant_schedule_with_warmup": _scheduler(
        "diffusers.optimization.get_constant_schedule_with_warmup", "num_warmup_steps=2"
    ),
    f"{_PO}CosineAnnealingWarmupRestarts": _scheduler(
        f"{_PO}CosineAnnealingWarmupRestarts", "first_cycle_steps=8", "max_lr=1e-3", "min_lr=1e-6", "warmup_steps=2"
    ),
    f"{_PO}REXScheduler": _scheduler(f"{_PO}REXScheduler", f"total_steps={STEPS}", "max_lr=1e-3"),
    f"{_PO}CosineScheduler": _scheduler(f"{_PO}CosineScheduler", f"t_max={STEPS}", "max_lr=1e-3", "min_lr=1e-6"),
    f"{_PO}LinearScheduler": _scheduler(f"{_PO}LinearScheduler", f"t_max={STEPS}", "max_lr=1e-3"),
    f"{_PO}PolyScheduler": _scheduler(f"{_PO}PolyScheduler", f"t_max={STEPS}", "max_lr=1e-3"),
    f"{_PO}get_chebyshev_schedule": _scheduler(f"{_PO}get_chebyshev_schedule", f"num_epochs={STEPS}"),
    f"{_PO}get_wsd_schedule": _scheduler(
        f"{_PO}get_wsd_schedule", "num_warmup_steps=2", "num_stable_steps=8", "num_decay_steps=6"
    ),
}

FEW = ("constant", "cosine", "CosineAnnealingLR", "StepLR")
"""The schedulers for pytorch_optimizer's hundred classes."""
OPTIMIZERS: dict[str, dict[str, tuple[Cases, tuple[str, ...]]]] = {
    "sd-scripts": {
        "all": ({**OWN, **OTHERS, **TORCH, **BITSANDBYTES}, tuple(SCHEDULERS)),
        "pytorch_optimizer": (PYTORCH_OPTIMIZER, FEW),
    },
    "musubi-tuner": {"all": (MUSUBI, tuple(SCHEDULERS))},
}
"""Trainer -> (optimizers, the schedulers that each of them is measured with)."""

EACH_RUN = {
    "sd-scripts": (
        *("AdamW", "AdamW8bit", "PagedAdamW8bit", "Lion", "Lion8bit", "SGDNesterov", "Adafactor"),
        *("Adafactor, relative_step=False", "Adafactor, fixed", "AdamWScheduleFree", "RAdamScheduleFree"),
        *("SGDScheduleFree", "Prodigy", "DAdaptation", "DAdaptAdaGrad", "DAdaptAdam", "DAdaptAdan", "DAdaptLion"),
        *("DAdaptSGD", "came_pytorch.CAME", _PLUS, f"{_PLUS}, split_groups_mean=False", "torch.optim.Adafactor"),
        *("Muon", "RAdam", "SGD", "Rprop"),
    ),
    "musubi-tuner": ("AdamW", "Adafactor", "Adafactor, fixed", "prodigyopt.Prodigy", _PLUS, f"{_PO}Prodigy"),
}
"""What every run of the tests measures again (all with LR_GRID_EVERY=1)."""
EACH_RUN_SCHEDULERS = (
    *("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt"),
    *("cosine_with_min_lr", "warmup_stable_decay", "rex, warm-up", "OneCycleLR", "OneCycleLR, list"),
    *("CosineAnnealingLR, eta_min=3e-4", "StepLR", "ReduceLROnPlateau"),
)


def lr_of(optimizer: str) -> float:
    """--learning_rate: 1 for those that find a step size of their own, and for LARS, which scales it by 0.001."""
    return 1.0 if any(part in optimizer for part in ("rodigy", "DAdapt", "LARS")) else 1e-3
