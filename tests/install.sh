#!/bin/sh
# Installs what the tests need from the system, where it is missing; called by the Makefile. Debian and its kin.
# usage: tests/install.sh [tests | venv PYTHON]
# Exits 1, after printing the one command to run, when something is missing and cannot be installed from here.
set -eu

missing=""

# need COMMAND PACKAGE: notes the package when the command is not there (Debian keeps some in sbin).
need() {
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

can_be_root() {
    [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1; }
}

# Service packages start their daemon when installed; policy-rc.d 101 keeps it off (only where nobody has set a policy).
install_packages() {
    policy=/usr/sbin/policy-rc.d
    made_policy=""
    if [ ! -e "$policy" ]; then
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy"
        made_policy=yes
    fi
    status=0
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1 || status=$?
    if [ -n "$made_policy" ]; then as_root rm -f "$policy"; fi
    return $status
}

case "${1:-tests}" in
tests)
    need nginx nginx
    need curl curl
    need redis-server redis-server
    need ip iproute2
    ;;
venv)
    "${2:-python3}" -c 'import ensurepip, venv' >/dev/null 2>&1 || missing=" python3-venv"
    ;;
*)
    echo "usage: $0 [tests | venv PYTHON]" >&2
    exit 2
    ;;
esac
[ -n "$missing" ] || exit 0

command_line="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing:$missing (names of Debian's packages). Install them by this system's own means, then try again." >&2
    exit 1
fi
if ! can_be_root; then
    echo "Missing:$missing. Install them with this, then try again:" >&2
    echo "  sudo $command_line" >&2
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "   installing$missing"
# An update is needed only where the package lists are missing or old.
if ! install_packages; then
    as_root apt-get update -q >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    install_packages || { cat "$log" >&2; exit 1; }
fi
