#!/bin/sh
# Mounts an image, sets a one-time boot and restarts a machine with nothing but
# curl and sed, by the links of the Redfish standard.
#
# Usage: curl.sh URL USER PASSWORD IMAGE
set -eu
url=$1 user=$2 password=$3 image=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "curl.sh: $*" >&2; exit 1; }

# ask METHOD PATH [BODY]: the body of the answer in $work/body, the status in $status.
ask() {
  method=$1 path=$2
  set -- -sk -L --post301 --post302 -o "$work/body" -D "$work/head" -w '%{http_code}' -X "$method" -H "X-Auth-Token: $token" -H 'Content-Type: application/json' ${3:+-d "$3"}
  status=$(curl "$@" "$url$path")
}
# field NAME: the first value of a member of the body.
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$work/body" | head -1; }
# links NAME: all @odata.id in the member called NAME.
link() { tr -d '\n' < "$work/body" | sed -n "s/.*\"$1\":{\"@odata.id\":\"\([^\"]*\)\".*/\1/p"; }
members() { tr -d '\n' < "$work/body" | sed 's/.*"Members":\[\([^]]*\)\].*/\1/' | grep -o '"@odata.id":"[^"]*"' | sed 's/.*:"\(.*\)"/\1/'; }
action() { tr -d '\n' < "$work/body" | sed -n "s/.*\"#$1\":{[^}]*\"target\":\"\([^\"]*\)\".*/\1/p"; }
etag() { sed -n 's/^[Ee][Tt][Aa][Gg]: *//p' "$work/head" | tr -d '\r'; }

token=
ask POST /redfish/v1/SessionService/Sessions "{\"UserName\":\"$user\",\"Password\":\"$password\"}"
[ "$status" = 201 ] || fail "login: $status"
token=$(sed -n 's/^[Xx]-[Aa]uth-[Tt]oken: *//p' "$work/head" | tr -d '\r')
session=$(sed -n 's/^[Ll]ocation: *//p' "$work/head" | tr -d '\r' | sed 's#^https\{0,1\}://[^/]*##')

ask GET /redfish/v1/Systems
system=$(members | head -1)
ask GET "$system"
media=$(link VirtualMedia)
reset=$(action ComputerSystem.Reset)
power=$(field PowerState)
if [ -z "$media" ]; then
  manager=$(tr -d '\n' < "$work/body" | sed -n 's/.*"ManagedBy":\[{"@odata.id":"\([^"]*\)".*/\1/p')
  ask GET "$manager"
  media=$(link VirtualMedia)
fi

ask GET "$media"
done=
for slot in $(members | sort); do
  ask GET "$slot"
  grep -q '"MediaTypes":\[[^]]*"CD"' "$work/body" || continue
  tag=$(etag)
  if grep -q '"Inserted":true' "$work/body"; then
    eject=$(action VirtualMedia.EjectMedia)
    if [ -n "$eject" ]; then ask POST "$eject" '{}'; else ask PATCH "$slot" '{"Image":null}'; fi
    ask GET "$slot"
  fi
  insert=$(action VirtualMedia.InsertMedia)
  if [ -n "$insert" ]; then ask POST "$insert" "{\"Image\":\"$image\"}"
  else ask PATCH "$slot" "{\"Image\":\"$image\",\"Inserted\":true}"; fi
  case $status in 2*) ;; *) continue ;; esac
  ask GET "$slot"
  grep -q '"Inserted":true' "$work/body" && { done=$slot; break; }
done
[ -n "$done" ] || fail "no slot took the image"

boot='{"Boot":{"BootSourceOverrideTarget":"Cd","BootSourceOverrideEnabled":"Once"}}'
ask PATCH "$system" "$boot"
case $status in
  2*) ;;
  *) ask GET "$system"; settings=$(link SettingsObject); [ -n "$settings" ] || fail "boot: refused"
     ask PATCH "$settings" "$boot"; case $status in 2*) ;; *) fail "boot: $status" ;; esac ;;
esac

if [ "$power" = On ]; then ask POST "$reset" '{"ResetType":"ForceOff"}'; fi
i=0
while :; do
  ask GET "$system"
  if [ "$(field PowerState)" = Off ]; then
    ask POST "$reset" '{"ResetType":"On"}'
    case $status in 2*) break ;; esac
  fi
  i=$((i + 1)); [ $i -lt 200 ] || fail "the machine does not go off and on"
  sleep 0.05
done
ask DELETE "$session"
echo restarted
