"""A job of SLURM that is told that its time is nearly over: it is queued anew, to go on later."""

import os
import subprocess

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment


def requeue() -> str:
    """Ask SLURM to queue the job anew that this process is of; only the first of all its processes does.

    Returns:
        A sentence on what came of it; none where there is no such job, or an interactive one.
    """
    if SLURMEnvironment.job_id() is None or os.environ.get("SLURM_PROCID", "0") != "0":
        return ""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else os.environ["SLURM_JOB_ID"]
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        return f"The job cannot be queued anew ({reason}). Do it by hand: scontrol requeue {job}"
    return f"Job {job} is queued anew; it goes on from the last checkpoint."
