frappe.query_reports["Background Jobs Waiting Longest"] = {
	filters: [],
	formatter(value, row, column, data, format) {
		const text = format(value, row, column, data);
		return column.fieldname === "waiting_since" && value ? `${text} (${frappe.datetime.prettyDate(value, true)})` : text;
	},
	// Frappe translates the names of filters, but not those of a Query Report's columns; showTotalRow has it make the table
	// anew at each refresh, which would put the columns' own names back.
	get_datatable_options(options) {
		for (const column of options.columns || []) column.name = __(column.name);
		return Object.assign(options, { showTotalRow: false });
	},
};
