//go:build !plans

package main

func plans() {}
