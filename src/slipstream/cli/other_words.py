"""What commands and options are called in other programs: for messages, never taken for them."""

OTHER_COMMANDS = {
    "fit": "train training learn resume continue",
    "optimize": "optimise tune tuning search auto speedup accelerate",
    "compare": "bench benchmark race diff versus vs",
    "ablate": "ablation",
    "eject": "export script convert",
    "techniques": "technique recipes recipe",
    "tasks": "task ls list datasets",
    "report": "show view open html",
    "--help": "help usage",
    "--version": "version",
}
OTHER_OPTIONS = {
    "--out": "output output_dir outdir out_dir folder dir directory save_dir logdir log_dir o",
    "--plan": "config cfg plan_file p c",
    "--resume": "continue restart restore checkpoint ckpt",
    "--budget": "time time_limit timeout minutes max_time",
    "--data-dir": "data dataset data_path data_folder",
    "--quiet": "silent verbose v",
    "--seeds": "runs repeats repetitions num_seeds n",
    "--recipe": "preset",
    "--test": "evaluate eval",
}
