//go:build plans

package main

import (
	"fmt"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/consul/api/watch"
)

// Each plan of the package watch that Sluice serves, and a change that it must tell.
var rows = []struct {
	params map[string]interface{}
	change func()
}{
	{map[string]interface{}{"type": "key", "key": "plan/one"}, put},
	{map[string]interface{}{"type": "keyprefix", "prefix": "plan/"}, put},
	{map[string]interface{}{"type": "services"}, register},
	{map[string]interface{}{"type": "nodes"}, enter},
	{map[string]interface{}{"type": "service", "service": "planned", "passingonly": true}, register},
	{map[string]interface{}{"type": "checks", "service": "web"}, turn},
	{map[string]interface{}{"type": "checks", "state": "passing"}, turn},
	{map[string]interface{}{"type": "event", "name": "planned"}, fire},
	{map[string]interface{}{"type": "agent_service", "service_id": "w1"}, rename},
}

func put() {
	client.KV().Put(&consul.KVPair{Key: "plan/one", Value: []byte(time.Now().String())}, nil)
}

func register() {
	client.Agent().ServiceRegister(&consul.AgentServiceRegistration{Name: "planned", Tags: []string{fmt.Sprint(points)}})
}

func enter() {
	client.Catalog().Register(&consul.CatalogRegistration{Node: "planned", Address: "192.0.2.9"}, nil)
}

func turn() {
	client.Agent().WarnTTL("service:w1", "")
	time.Sleep(50 * time.Millisecond)
	client.Agent().PassTTL("service:w1", time.Now().String())
}

func fire() {
	client.Event().Fire(&consul.UserEvent{Name: "planned"}, nil)
}

func rename() {
	client.Agent().ServiceRegister(&consul.AgentServiceRegistration{ID: "w1", Name: "web", Tags: []string{"v1"}, Port: 81,
		Check: &consul.AgentServiceCheck{TTL: "600s", Status: "passing"}})
}

// The plan tells what there is, and then what changes.
func follow(what string, params map[string]interface{}, change func()) {
	plan, err := watch.Parse(params)
	must(what, err)
	told, ended := make(chan struct{}, 100), make(chan error, 1)
	plan.HybridHandler = func(watch.BlockingParamVal, interface{}) { told <- struct{}{} }
	go func() { ended <- plan.Run(address) }()
	for _, when := range []string{"at first", "after a change"} {
		points++
		select {
		case <-told:
		case <-time.After(patience):
			fmt.Printf("%s: said nothing %s\n", what, when)
		}
		change()
	}
	plan.Stop()
	same(what+" that is stopped", <-ended, nil, nil)
}

func plans() {
	for _, row := range rows {
		follow(fmt.Sprintf("watch %v", row.params), row.params, row.change)
	}
	client.KV().DeleteTree("plan/", nil)
	must("Agent.ServiceDeregister", client.Agent().ServiceDeregister("planned"))
	_, err := client.Catalog().Deregister(&consul.CatalogDeregistration{Node: "planned"}, nil)
	must("Catalog.Deregister", err)
}
