# Texts with backslashes, percent signs, without an end.

plan "wrong" {}

locals {
  folder = "C:\images"
  load   = "100%{"
  rack   = "r7
  row    = "${local.rack"
}
