#!/bin/sh
# Puts a real Consul agent for the tests at build/tools/consul and prints its path.
#
# $QUOIT_CONSUL wins, then a `consul` on the PATH; else Debian 11's package (Debian 12 has none) is
# fetched from the mirror that apt already uses, checked, and unpacked without touching the system.
# Safe to run again and again: what is there stays.
set -eu

package='pool/main/c/consul/consul_1.8.7+dfsg1-2+b3_amd64.deb'
sha256='e4e888bba104daba1d9161f49bfc52649a7e4efd45b1a7ead5bc54f2cb9c89d9'
root=$(cd "$(dirname "$0")/../.." && pwd)
tools="$root/build/tools"

fail() {
    echo "get_consul.sh: $*" >&2
    exit 1
}

if [ -n "${QUOIT_CONSUL:-}" ]; then
    [ -x "$QUOIT_CONSUL" ] || fail "QUOIT_CONSUL=$QUOIT_CONSUL is not an executable file"
    echo "$QUOIT_CONSUL"
    exit 0
fi
if command -v consul; then
    exit 0
fi
if [ -x "$tools/consul" ]; then
    echo "$tools/consul"
    exit 0
fi

for tool in dpkg apt-get; do
    command -v $tool >/dev/null || fail "needs $tool; install Consul yourself and set QUOIT_CONSUL"
done
[ "$(dpkg --print-architecture)" = amd64 ] ||
    fail "the package is for amd64; install Consul yourself and set QUOIT_CONSUL"

mkdir -p "$tools"
work=$(mktemp -d "$tools/consul.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

# apt-helper goes through apt's own transports and proxies and checks the sum.
fetch() {
    # shellcheck disable=SC2016  # $(SITE) is for apt to fill in
    for site in $(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sort -u); do
        if /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file \
            "${site%/}/$package" "$work/consul.deb" "SHA256:$sha256" >>"$work/log" 2>&1; then
            return 0
        fi
    done
    return 1
}

if ! fetch; then
    cat "$work/log" >&2 2>/dev/null || true
    fail "no configured apt mirror gave $package with SHA-256 $sha256"
fi
echo "$sha256  $work/consul.deb" | sha256sum --check --quiet >&2 || fail "wrong SHA-256"
dpkg -x "$work/consul.deb" "$work/unpacked"
"$work/unpacked/usr/bin/consul" version >/dev/null || fail "the unpacked agent does not run"
# A rename, so that two runs at once never show half a program.
mv -f "$work/unpacked/usr/bin/consul" "$tools/consul"
echo "$tools/consul"
