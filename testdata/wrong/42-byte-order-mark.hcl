# A byte order mark, Windows line ends and tabs are no mistakes; what they stand in is shown at its place.

plan "wrong" {}

group "lab" {
	vendor	= "dell"
	bmc {
		username = "root"
		password = env("BMC_PASSWORD")
	}
	host "esxi-01" {
		protectd	= true
		bmc { address	= "198.51.100.300" }
	}
}
