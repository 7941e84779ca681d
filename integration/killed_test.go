package integration

const childVariable = "BRIDGE_TEST_CHILD"

func childMain() int { return 0 }
