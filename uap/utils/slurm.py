"""Requeueing of a SLURM job whose time limit is near."""

import os
import subprocess

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment


def requeue() -> str:
    """Ask SLURM to requeue the job of this process. Only the process with rank 0 does so.

    Returns:
        A sentence about the result; empty without a SLURM job, in an interactive job, or on other ranks.
    """
    if SLURMEnvironment.job_id() is None or os.environ.get("SLURM_PROCID", "0") != "0":
        return ""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else os.environ["SLURM_JOB_ID"]
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        return f"The job cannot be requeued ({reason}). Requeue it by hand: scontrol requeue {job}"
    return f"Job {job} is requeued; it resumes from the last checkpoint."
