#!/bin/bash
# A life of the service, as the administrator of a machine leads it. Each line of the output is a step and what came of it.
config=/etc/unpage/unpage.toml

step() { local name=$1; shift; "$@" >/dev/null 2>&1; echo "$name: $?"; }
state() { echo "$1: $(systemctl is-active unpage.service)"; }
main() { systemctl show --property MainPID --value unpage.service; }
# An identifier that each start of the socket draws anew.
socket() { systemctl show --property InvocationID --value unpage.socket; }

# Records of the stream, by nothing but bash.
records() {
  exec 3<>/dev/tcp/127.0.0.1/8080
  printf 'GET /orders?_format=ndjson HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
  echo "$1: $(grep -c '"id"' <&3)"
}

step "install" dpkg --install /root/unpage.deb
state "before"
unpage demo --api-only --api-listen 127.0.0.1:9000 --records 5000 --latency 0ms >/root/api 2>&1 &
until grep -q 'answers at' /root/api; do read -rt 0.05 <> <(:); done
cp /root/unpage.toml $config
echo -n secret >/etc/unpage/secrets/token
step "enable" systemctl enable --now unpage
step "health" unpage health
records "records"
grep -E '^(CapEff|NoNewPrivs|Seccomp):' "/proc/$(main)/status" | tr -d '\t'
step "reload" systemctl reload unpage
echo 'x = 1' >>$config
step "reload of a mistake" systemctl reload unpage
state "after it"
cp /root/unpage.toml $config
before=$(main) socket=$(socket)
step "upgrade" dpkg --install /root/unpage.deb
state "after the upgrade"
[ "$before" != "$(main)" ] && echo "the upgrade restarts the service"
[ -n "$socket" ] && [ "$socket" = "$(socket)" ] && echo "the upgrade keeps the socket"
records "records from the snapshot"
step "remove" dpkg --remove unpage
echo "after the removal: $(systemctl is-active unpage.service unpage.socket | paste -sd,)"
echo "the removal keeps: $(cd /etc/unpage && find . -type f | sort | paste -sd,)"
step "purge" dpkg --purge unpage
[ ! -e /etc/unpage ] && [ ! -e /var/lib/unpage ] && [ ! -e /var/lib/private/unpage ] && echo "the purge keeps nothing"
journalctl --unit unpage --no-pager --output cat
