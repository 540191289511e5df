// Package port turns a Port into its Logical_Switch_Port, and reads committed rows back: a Port is what one interface, or
// one reserved address, is in OVN.
package port
