// Command dashboard prints the Grafana dashboard of docsgate, examples/monitoring/docsgate-dashboard.json:
//
//	go run -C tools ./dashboard > examples/monitoring/docsgate-dashboard.json
//
// The dashboard is built with the Grafana Foundation SDK, whose types are those of Grafana's own schema. Run `make dashboard` after a
// change.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

func run() error {
	built, err := build()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(built)
}

// dataSource is the Prometheus that is selected at the top of the dashboard.
var dataSource = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

// build returns the dashboard.
func build() (dashboard.Dashboard, error) {
	b := dashboard.NewDashboardBuilder("docsgate").
		Uid("docsgate").
		Description("Gates in front of DocsGPT: requests, rejections, DocsGPT, keys and limits.").
		Tags([]string{"docsgate", "docsgpt"}).
		Time("now-6h", "now").
		Refresh("1m").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("Documentation").Type(dashboard.DashboardLinkTypeLink).
			Url("https://github.com/docsgate/docsgate/blob/main/docs/running.md#metrics-and-alerts").TargetBlank(true)).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(labelVariable("job", "Job", "caddy_docsgate_build_info")).
		WithVariable(labelVariable("instance", "Gate", `caddy_docsgate_build_info{job=~"$job"}`))
	for _, r := range rows {
		b.WithRow(dashboard.NewRowBuilder(r.title))
		for _, p := range r.panels {
			if p.stat {
				b.WithPanel(statPanel(p))
			} else {
				b.WithPanel(timePanel(p))
			}
		}
	}
	return b.Build()
}

// labelVariable returns a variable with the values of a label, all of which are selected at first.
func labelVariable(label, title, metric string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(label).
		Label(title).
		Datasource(dataSource).
		Query(dashboard.StringOrMap{String: cog.ToPtr(fmt.Sprintf("label_values(%s, %s)", metric, label))}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".+").
		Current(dashboard.VariableOption{
			Text:  dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
			Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
		})
}

func targets(p panel) (all []*prometheus.DataqueryBuilder) {
	for i, q := range p.queries {
		query := prometheus.NewDataqueryBuilder().Datasource(dataSource).Expr(q.expr).LegendFormat(q.legend).RefId(string(rune('A' + i)))
		if p.stat {
			query.Instant()
		} else {
			query.Range()
		}
		all = append(all, query)
	}
	return all
}

func statPanel(p panel) *stat.PanelBuilder {
	b := stat.NewPanelBuilder().Title(p.title).Description(p.description).Datasource(dataSource).Unit(p.unit).Span(4).Height(4).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		ColorMode(common.BigValueColorModeValue).
		GraphMode(common.BigValueGraphModeNone)
	var steps []dashboard.Threshold
	for i, t := range p.thresholds {
		step := dashboard.Threshold{Color: t.color}
		if i > 0 {
			step.Value = cog.ToPtr(t.from)
		}
		steps = append(steps, step)
	}
	if steps != nil {
		b.Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps))
	}
	for _, t := range targets(p) {
		b.WithTarget(t)
	}
	return b
}

func timePanel(p panel) *timeseries.PanelBuilder {
	b := timeseries.NewPanelBuilder().Title(p.title).Description(p.description).Datasource(dataSource).Unit(p.unit).Span(8).Height(8).
		Min(0).
		LineWidth(1).
		ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if p.stacked {
		b.FillOpacity(40).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	}
	for _, t := range targets(p) {
		b.WithTarget(t)
	}
	return b
}
