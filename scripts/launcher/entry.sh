# Sourced by scripts/up, scripts/test and scripts/manage: finds a Python >= 3.11 and hands over to scripts/launcher.
# Arguments: the command's name, then what the person typed.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1

# A relative SALDO_DATA means relative to where the person stands, not to the project.
case ${SALDO_DATA-} in '' | /*) ;; *) SALDO_DATA=$PWD/$SALDO_DATA && export SALDO_DATA ;; esac

# PYTHONDONTWRITEBYTECODE makes every process compile every module again (17 s instead of 4); the others would let
# a stranger's modules or library in.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH PYTHONSAFEPATH

is_new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
for python in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$python" -c "$is_new_enough" 2>/dev/null; then
        cd -- "$root" || exit 1
        exec "$python" -m scripts.launcher "$@"
    fi
done

echo "Saldo needs Python 3.11 or newer and found none: install one (Debian, Ubuntu: apt install python3 python3-venv;" \
    "macOS: brew install python) or name it, as in PYTHON=/opt/python3.12/bin/python3 scripts/$1." >&2
exit 1
