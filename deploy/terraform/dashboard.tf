# One dashboard, of the program's metrics alone.

locals {
  # Each server once, however many backups and drills it has.
  shown_servers = distinct(concat(values(local.servers), values(local.drill_servers)))

  widgets = [
    { title = "Complete backups", metrics = ["Complete"], stat = "Sum" },
    { title = "Bytes dumped and stored", metrics = ["DumpedBytes", "StoredBytes"], stat = "Average" },
    { title = "Ratio of compression", metrics = ["CompressionRatio"], stat = "Average" },
    { title = "Seconds, and how many of them throttled", metrics = ["Duration", "Throttled"], stat = "Maximum" },
    { title = "Rows", metrics = ["Rows"], stat = "Average" },
    { title = "Warnings", metrics = ["Warnings"], stat = "Sum" },
    { title = "Drills that passed", metrics = ["DrillPassed"], stat = "Minimum" },
    { title = "Seconds of drills", metrics = ["DrillDuration"], stat = "Maximum" },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.create && var.create_dashboard ? 1 : 0

  # Dashboards are of the account, not of a region.
  dashboard_name = "${var.name}-${local.region}"
  dashboard_body = jsonencode({ widgets = [for place, widget in local.widgets : {
    type   = "metric"
    x      = (place % 2) * 12
    y      = floor(place / 2) * 6
    width  = 12
    height = 6
    properties = {
      title   = widget.title
      region  = local.region
      view    = "timeSeries"
      stat    = widget.stat
      period  = 3600
      metrics = [for pair in setproduct(widget.metrics, local.shown_servers) : ["pgseal", pair[0], "Server", pair[1]]]
    }
  }] })
}
