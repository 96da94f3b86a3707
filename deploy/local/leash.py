"""Puts a command on a leash, then becomes it: the command's process id is the one its starter got.

Run as a script, isolated and without site-packages, because it must be quick and may not import the project:

    python -I -S leash.py PARENT_PID USER COMMAND [ARGUMENT ...]

On Linux the kernel kills the command (SIGKILL) once its starter is gone, however that died. Elsewhere there
is no leash: the next start ends what was left behind. USER is "-" for "as I am", else the account to run as.

Decision: PostgreSQL refuses to run as root, so root starts it as the unprivileged account that every Linux
has, and leaves it the one capability that lets it reach a directory under private parents (CAP_DAC_OVERRIDE).
Creating an account and opening every parent directory to the world, as the wheel's own API does, would change
the machine for good.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def prctl(option: int, first: int, second: int = 0) -> None:
    """Calls prctl(2). Raises OSError with its errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, *(ctypes.c_ulong(value) for value in (first, second, 0, 0))) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def keep_file_access() -> None:
    """Reduces this process to the one capability of reaching files, and hands that to the command."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    mask = 1 << CAP_DAC_OVERRIDE
    effective_permitted_inheritable_low_then_high = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    if libc.capset(header, effective_permitted_inheritable_low_then_high) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)


def become(user: str) -> None:
    """Gives up root for the account `user`. Raises KeyError if it is unknown, OSError if not permitted."""
    account = pwd.getpwnam(user)
    if sys.platform == "linux":
        prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if sys.platform == "linux":
        keep_file_access()


def tie_to(parent: int) -> None:
    """Asks the kernel to kill this process with its parent; exits at once if the parent is already gone."""
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("leash: the starter has died")


def main() -> None:
    """Changes the account first (that clears a leash), ties the leash, and becomes the command."""
    parent, user, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if user != "-":
        become(user)
    tie_to(parent)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
