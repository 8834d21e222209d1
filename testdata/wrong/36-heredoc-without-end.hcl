# A text of several lines without an end.

plan "wrong" {}

locals {
  banner = <<-EOT
    Welcome
    to the lab
    EOF
}
