# Backslashes and percent signs in texts.

plan "wrong" {}

locals {
  folder = "C:\images"
  path   = "C:\Users"
  load   = "100%{"
}
