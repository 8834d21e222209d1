#!/usr/bin/env bash
# Boots machines from images that esxiplan serves, with nothing in between: QEMU reads the
# overlay over HTTP by ranges, as a BMC does. BIOS goes through isolinux, UEFI through OVMF and
# GRUB; each prints the kickstart that was laid over the image. No ESXi is needed for it.
#
# Usage: testdata/qemu/boot.sh [bin/esxiplan]
set -euo pipefail
cd "$(dirname "$0")/../.."
esxiplan=$PWD/${1:-bin/esxiplan}

missing=()
need() { [ -e "$1" ] || command -v "$1" >/dev/null || missing+=("$2"); }
need qemu-system-x86_64 qemu-system-x86
need /usr/lib/x86_64-linux-gnu/qemu/block-curl.so qemu-block-extra
need /usr/share/OVMF/OVMF_CODE.fd ovmf
need /usr/lib/ISOLINUX/isolinux.bin isolinux
need /usr/lib/syslinux/modules/bios/cat.c32 syslinux-common
need grub-mkstandalone grub-common
need /usr/lib/grub/x86_64-efi grub-efi-amd64-bin
need mcopy mtools
need genisoimage genisoimage
if [ ${#missing[@]} -gt 0 ]; then
  echo "boot test skipped: it needs the Debian packages ${missing[*]}"
  [ -z "${CI:-}" ] || exit 1
  exit 0
fi

work=$(mktemp -d)
served=
cleanup() { [ -z "$served" ] || kill "$served" 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT

# tree NAME CASE: the files of an image that boots; names as CASE has them.
tree() {
  local dir=$work/$1
  mkdir -p "$dir/EFI/BOOT"
  cp /usr/lib/ISOLINUX/isolinux.bin "$dir/ISOLINUX.BIN"
  for module in ldlinux cat libcom32 libutil; do cp "/usr/lib/syslinux/modules/bios/$module.c32" "$dir/${module^^}.C32"; done
  printf 'SERIAL 0 115200\nDEFAULT show\nPROMPT 0\nTIMEOUT 1\nLABEL show\n  COM32 cat.c32\n  APPEND KS.CFG\n' > "$dir/ISOLINUX.CFG"
  printf 'bootstate=0\ntitle=Loading ESXi installer\ntimeout=5\nprefix=\nkernel=/b.b00\nkernelopt=runweasel cdromBoot\nmodules=/k.b00\nbuild=8.0.3-0.0.24022510\n' > "$dir/BOOT.CFG"
  cp "$dir/BOOT.CFG" "$dir/EFI/BOOT/BOOT.CFG"
  for n in $(seq 1 40); do head -c 300000 /dev/urandom > "$dir/S.V$(printf %02d "$n")"; done
  cp "$work/efiboot.img" "$dir/EFIBOOT.IMG"
  if [ "$2" = lower ]; then
    find "$dir" -depth -mindepth 1 | while read -r f; do mv "$f" "$(dirname "$f")/$(basename "$f" | tr A-Z a-z)"; done
  fi
}

cat > "$work/grub.cfg" <<'GRUB'
for disk in cd0 cd1 hd0 hd1; do
  for name in KS.CFG ks.cfg efi/boot/ks.cfg; do
    if [ -f ($disk)/$name ]; then cat ($disk)/$name; fi
  done
done
echo end-of-grub
halt
GRUB
grub-mkstandalone -O x86_64-efi --modules="iso9660 cat echo halt test all_video" -o "$work/bootx64.efi" "boot/grub/grub.cfg=$work/grub.cfg" 2>/dev/null
dd if=/dev/zero of="$work/efiboot.img" bs=1M count=20 status=none
mformat -i "$work/efiboot.img" -v BOOT ::
mmd -i "$work/efiboot.img" ::/EFI ::/EFI/BOOT
mcopy -i "$work/efiboot.img" "$work/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI

tree plain upper
genisoimage -quiet -o "$work/plain.iso" -b ISOLINUX.BIN -c BOOT.CAT -no-emul-boot -boot-load-size 4 -boot-info-table -eltorito-alt-boot -e EFIBOOT.IMG -no-emul-boot "$work/plain"
tree joliet lower
genisoimage -quiet -relaxed-filenames -J -R -o "$work/joliet.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table -eltorito-alt-boot -e efiboot.img -no-emul-boot "$work/joliet" 2>/dev/null

# serve: a folder of overlays, on a port that the system chooses.
mkdir "$work/media"
"$esxiplan" serve "$work/media" --listen 127.0.0.1:0 2> "$work/serve.log" &
served=$!
for _ in $(seq 50); do grep -q '^serving' "$work/serve.log" && break; sleep 0.1; done
url=$(sed -n 's/^serving .* on //p' "$work/serve.log")

# publish NAME: the image of a host called NAME, over NAME.iso.
publish() {
  cat > "$work/$1.hcl" <<PLAN
plan "boot-$1" {}
image "esxi" { source = "$work/$1.iso" }
media {
  directory = "$work/media"
  url       = "$url"
  store     = "overlay"
}
group "lab" {
  bmc {
    username = "root"
    password = "not-used-here"
  }
  host "$1" {
    bmc { address = "127.0.0.9" }
    esxi {
      address       = "192.0.2.11"
      netmask       = "255.255.255.0"
      gateway       = "192.0.2.1"
      hostname      = "esxi-$1"
      disk          = { model = "ANY" }
      root_password = "Some-password-1x"
    }
  }
}
step "build_iso" "installer" { image = image.esxi }
PLAN
  "$esxiplan" run "$work/$1.hcl" >/dev/null 2>&1 || { "$esxiplan" run "$work/$1.hcl"; exit 1; }
  sed -n 's/^  "url": "\(.*\)",/\1/p' "$work/media/.esxiplan/$1@boot-$1.json"
}

# boot WHAT IMAGE TEXT FIRMWARE…: start a machine and wait for the text on its serial line.
boot() {
  local what=$1 image=$2 text=$3 log=$work/console.log
  shift 3
  : > "$log"
  timeout 120 qemu-system-x86_64 -machine pc -m 512 -nographic -net none -no-reboot "$@" \
    -drive "file=$image,format=raw,media=cdrom,readonly=on" -serial "file:$log" -monitor none < /dev/null > "$work/qemu.log" 2>&1 &
  local qemu=$! began=$SECONDS alive=yes
  while [ "$alive" ]; do
    kill -0 "$qemu" 2>/dev/null || alive= # its console is looked at once more
    if tr -d '\r\n' < "$log" | grep -qF "$text"; then
      kill "$qemu" 2>/dev/null || true
      wait "$qemu" 2>/dev/null || true
      echo "$what: printed the kickstart after $((SECONDS - began)) s"
      return
    fi
    sleep 0.5
  done
  echo "$what: never printed the kickstart"
  tail -n 40 "$log" "$work/qemu.log"
  exit 1
}

for name in plain joliet; do
  image=$(publish "$name")
  boot "$name, BIOS, isolinux" "$image" "hostname='esxi-$name'"
  boot "$name, UEFI, OVMF and GRUB" "$image" "hostname='esxi-$name'" -bios /usr/share/ovmf/OVMF.fd
done
sleep 1.2
sed -n 's/^  "bytes": \(.*\),/bytes read of the image: \1/p; s/^  "requests": \(.*\),/requests: \1/p' "$work"/media/.esxiplan/reads/*/*.json
